/** Nobody reads what is printed, or it cannot be written: every command, its two streams. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MemoryRegistry } from '../platform/clients/registry/fixtures.ts';

const executable = fileURLToPath(new URL('../bin/shoal.js', import.meta.url));
const exitPipe = 141;
const limitMs = 60_000;
const digest = `sha256:${'d'.repeat(64)}`;
let dir: string;
let server: MemoryRegistry;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-output-'));
  server = await MemoryRegistry.start();
  server.blobs.set(digest, Buffer.alloc(20_000_000));
  writeFileSync(join(dir, 'file'), 'some bytes');
  writeFileSync(join(dir, 'tracker.yaml'), 'role: tracker\n');
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

type Closed = 'stdout' | 'stderr';

/** The command with the reader of one stream gone before it could print; what it said on the other. */
async function without(closed: Closed, args: readonly string[]): Promise<{ code: number | null; said: string }> {
  const env = { ...process.env, TMPDIR: dir };
  const child = spawn(process.execPath, [executable, ...args], { stdio: ['ignore', 'pipe', 'pipe'], cwd: dir, env });
  child[closed].destroy();
  const [said, [code]] = await Promise.all([
    text(closed === 'stdout' ? child.stderr : child.stdout),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  return { code, said };
}

test.each([
  ['ls', '--proxy'],
  ['ls', 'library/app', '--proxy'],
  ['--help'],
  ['--version'],
  ['config', 'schema', 'agent'],
  ['config', 'check', 'tracker.yaml'],
])('%j: a reader that has seen enough is no failure, and nothing is said of it', async (...args) => {
  const closed = await without('stdout', args.at(-1) === '--proxy' ? [...args, server.base] : args);
  expect(closed).toEqual({ code: 0, said: '' });
});

test('a transfer whose progress nobody reads ends, is not done, and says nothing', async () => {
  const get = ['get', digest, '-o', 'out', '--agent', server.base];
  server.cutReads = [5_000_000, 1_000, 1_000, 1_000, 1_000];
  expect(await without('stderr', get)).toEqual({ code: exitPipe, said: '' });
  server.cutReads = [];
  expect(existsSync(join(dir, 'out'))).toBe(false);
  expect(await without('stdout', ['get', digest, '-o', '-', '--agent', server.base])).toEqual({
    code: exitPipe,
    said: '',
  });
});

test('a demo whose table nobody reads leaves nothing behind', { timeout: limitMs }, async () => {
  const { code, said } = await without('stdout', ['demo', '--agents', '1', '--size', '4MB']);
  expect([code, said]).toEqual([exitPipe, '']);
  expect(readdirSync(dir).filter((name) => name.startsWith('shoal-demo'))).toEqual([]);
});

test.runIf(process.platform === 'linux')('output that cannot be written is one line, exit code 1', async () => {
  const full = openSync('/dev/full', 'w');
  const child = spawn(process.execPath, [executable, 'ls', '--proxy', server.base], {
    stdio: ['ignore', full, 'pipe'],
  });
  const [said, [code]] = await Promise.all([
    text(child.stderr as Readable),
    once(child, 'exit') as Promise<[number | null]>,
  ]);
  expect(code).toBe(1);
  expect(said).toMatch(/^shoal: standard output cannot be written: ENOSPC.*\n$/);
});
