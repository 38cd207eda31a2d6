/** Whose a data directory is. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { RealDisk } from './disk/real-disk.ts';
import { TestStores } from './store.fixtures.ts';

const stores = new TestStores();
beforeAll(() => stores.start());
afterEach(() => stores.after());
afterAll(() => stores.stop());

test('a directory of another format, role or owner is refused in one line and not touched', async () => {
  const dir = stores.directory();
  await stores.close(await stores.open(dir));
  expect(readFileSync(join(dir, 'version'), 'utf8')).toBe('agent 1\n');
  writeFileSync(join(dir, 'version'), 'agent 99\n');
  const before = readdirSync(dir);
  await expect(stores.open(dir)).rejects.toMatchObject({
    name: 'StartError',
    message: expect.stringMatching(/agent 99.*agent 1.*choose another/),
  });
  expect(readdirSync(dir)).toEqual(before);
  writeFileSync(join(dir, 'version'), 'agent 1\n');
  await expect(stores.open(dir, { role: 'origin' })).rejects.toThrow(
    'of format "agent 1", this process needs "origin 1"',
  );
  const foreign = stores.directory();
  const parent = join(foreign, '..');
  writeFileSync(join(parent, 'thesis.tex'), 'x');
  await expect(stores.open(parent)).rejects.toThrow(/thesis.tex.*choose an empty one/);
  expect(readdirSync(parent)).toEqual(['thesis.tex']);
});

test('a directory that the disk does not give is refused with the place and what to see to', async () => {
  const dir = stores.directory();
  await stores.close(await stores.open(dir));
  writeFileSync(join(dir, 'blobs', 'sha256', 'ab'), '');
  await expect(stores.open(dir)).rejects.toMatchObject({
    name: 'StartError',
    message: expect.stringMatching(/cannot be used \(ENOTDIR.*blobs\/sha256\/ab.*see to its disk/),
  });
});

test('a fresh volume is an empty directory, whatever mkfs has put there', async () => {
  const dir = join(stores.directory(), '..');
  mkdirSync(join(dir, 'lost+found'));
  await stores.close(await stores.open(dir));
  expect(readdirSync(dir)).toEqual(expect.arrayContaining(['blobs', 'lost+found', 'version']));
});

test('one process at a time uses a directory, and kill -9 leaves no lock behind', async () => {
  const dir = stores.directory();
  const store = await stores.open(dir);
  await expect(stores.open(dir)).rejects.toThrow(new RegExp(`in use by process ${process.pid}: stop that one`));
  await stores.close(store);
  const disk = new URL('./disk/real-disk.ts', import.meta.url).href;
  const code = `
    const { RealDisk } = await import(${JSON.stringify(disk)});
    await new RealDisk().lock(${JSON.stringify(join(dir, 'lock'))});
    console.log('locked');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(child.stdout, 'data');
    await expect(stores.open(dir)).rejects.toThrow('in use by process');
  } finally {
    child.kill('SIGKILL');
  }
  await once(child, 'exit');
  await stores.close(await stores.open(dir));
});

test('of many files the lengths are asked for some at a time, and one that is too short is found', async () => {
  const dir = stores.directory();
  await stores.close(await stores.open(dir));
  const shard = join(dir, 'blobs', 'sha256', 'ab');
  mkdirSync(shard);
  // More than are looked at in the usual way, of blobs without a byte.
  const count = 450;
  for (let no = 0; no < count; no++) {
    const hex = `ab${no.toString(16).padStart(62, '0')}`;
    writeFileSync(join(shard, `${hex}.0.18.${'0'.repeat(64)}`), '');
  }
  const short = 'ab'.padEnd(64, 'c');
  writeFileSync(join(shard, `${short}.7.18.${'0'.repeat(64)}`), '');
  const asked: number[] = [];
  const disk = new RealDisk();
  disk.sizes = async (at, names) => {
    asked.push(names.length);
    return await RealDisk.prototype.sizes.call(disk, at, names);
  };
  const store = await stores.open(dir, { disk });
  expect(store.count).toBe(count);
  expect(store.get(`sha256:${short}` as Digest)).toBeUndefined();
  expect(asked.reduce((sum, one) => sum + one, 0)).toBe(count + 1);
  expect(Math.max(...asked)).toBeLessThan(count);
});
