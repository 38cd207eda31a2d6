/** A directory on a network's file system, and on any: what it does with what such ones do. */

import { lstat, mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { backendConformance } from '../conformance.fixtures.ts';
import { bytesOf, never, sourceOf } from '../objects.fixtures.ts';
import { FileBackend } from './file.ts';
import { coded, NfsFiles } from './nfs.fixtures.ts';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'shoal-nfs-backend-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function made() {
  const root = await mkdtemp(join(dir, 'd'));
  const files = new NfsFiles();
  return { root, files, backend: new FileBackend({ name: 'main', root, files }) };
}

const text = async (backend: FileBackend, key: string): Promise<string> => {
  const found = await backend.stat(key, never);
  return String(await bytesOf(backend.read(key, { start: 0, end: found?.size ?? 0 }, never)));
};
const put = (backend: FileBackend, value: string, version?: string | null) =>
  backend.put('key', Buffer.from(value), never, version === undefined ? undefined : { version });

describe('a directory of NFS', () => backendConformance(async () => (await made()).backend, { objects: 300 }));

test.each([
  ['ENOSPC', 'full'],
  ['EDQUOT', 'full'],
  ['EIO', 'unavailable'],
])('a write that fails when it is closed (%s) has not been', async (code, why) => {
  const { backend, files, root } = await made();
  await put(backend, 'old');
  files.failClose(code);
  await expect(backend.write('key', sourceOf(Buffer.from('new')), never)).rejects.toMatchObject({
    why,
    message: expect.stringMatching(/^main: key: /),
  });
  expect(await text(backend, 'key')).toBe('old');
  for (let n = 0; n < 50 && (await readdir(root)).length > 1; n++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  expect(await readdir(root)).toEqual(['key']);
});

test('a request that was sent twice is no refusal', async () => {
  const { backend, files } = await made();
  files.sendTwice('link');
  const first = await put(backend, 'first', null);
  files.sendTwice('mark');
  const second = await put(backend, 'second', first.version);
  files.sendTwice('rename');
  const third = await put(backend, 'third', second.version);
  files.sendTwice('rename');
  await put(backend, 'fourth');
  files.sendTwice('unlink');
  await put(backend, 'fifth');
  expect(await text(backend, 'key')).toBe('fifth');
  await expect(put(backend, 'late', third.version)).rejects.toMatchObject({ why: 'changed' });
});

test('an open file that was replaced is not read on', async () => {
  const { backend } = await made();
  const bytes = Buffer.alloc(2_000_000, 'old');
  const { version } = await backend.write('key', sourceOf(bytes), never);
  const parts: Buffer[] = [];
  const reading = async (): Promise<void> => {
    for await (const chunk of backend.read('key', { start: 0, end: bytes.length, version }, never)) {
      parts.push(Buffer.from(chunk));
      if (parts.length === 1) await put(backend, 'new');
    }
  };
  await expect(reading()).rejects.toMatchObject({ why: expect.stringMatching(/^(changed|unavailable)$/) });
});

test('who was killed before it succeeded a version keeps nobody from it, and does not come back', async () => {
  const { backend, files, root } = await made();
  const first = await put(backend, 'first', null);
  // It sleeps before its rename, for as long as somebody else needs to take its place.
  const awake = Promise.withResolvers<void>();
  const sleeps = Promise.withResolvers<void>();
  files.before = async (call) => {
    if (call !== 'rename') return;
    files.before = async () => undefined;
    sleeps.resolve();
    await awake.promise;
  };
  const asleep = put(backend, 'of the sleeper', first.version);
  await sleeps.promise;
  const second = await put(backend, 'second', first.version);
  const third = await put(backend, 'third', second.version);
  awake.resolve();
  await expect(asleep).rejects.toMatchObject({ why: 'changed' });
  expect(await text(backend, 'key')).toBe('third');
  expect((await backend.stat('key', never))?.version).toBe(third.version);
  for (let n = 0; n < 50 && (await readdir(root)).length > 1; n++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  expect(await readdir(root)).toEqual(['key']);
});

test('no key leads out of the directory', async () => {
  const { backend, root } = await made();
  const before = await readdir(join(root, '..'));
  const keys = [
    '../out',
    '/etc/passwd',
    'a/../../b',
    'a/./b',
    'a//b',
    'b/',
    '.shoal-x',
    '.nfs01',
    'z/..',
    '.',
    '%2E%2E/x',
    'a\0b',
  ];
  for (const key of keys) await backend.put(key, Buffer.from(key), never);
  for (const key of keys) expect(await text(backend, key), key).toBe(key);
  const listed = await backend.list('', { max: 100 }, never);
  expect(listed.objects.map(({ key }) => key).toSorted()).toEqual(keys.toSorted());
  expect(await readdir(join(root, '..'))).toEqual(before);
  for (const key of ['', 'x'.repeat(256), 'x/'.repeat(600), '\ud800'])
    await expect(backend.put(key, Buffer.alloc(1), never)).rejects.toMatchObject({ why: 'refused' });
  await put(backend, 'a file');
  await expect(backend.put('key/below', Buffer.alloc(1), never)).rejects.toMatchObject({ why: 'refused' });
});

test('a symbolic link is not followed, nor listed', async () => {
  const { backend, root } = await made();
  await writeFile(join(dir, 'secret'), 'secret');
  await symlink(join(dir, 'secret'), join(root, 'link'));
  await expect(backend.stat('link', never)).rejects.toMatchObject({ why: 'refused' });
  await expect(bytesOf(backend.read('link', { start: 0, end: 6 }, never))).rejects.toMatchObject({ why: 'refused' });
  expect((await backend.list('', { max: 9 }, never)).objects).toEqual([]);
  await backend.put('link', Buffer.from('ours'), never);
  expect((await lstat(join(root, 'link'))).isFile()).toBe(true);
});

test('what a killed writer left is removed a day later, and not before', async () => {
  const { backend, root } = await made();
  await mkdir(join(root, 'a'));
  const [old, young] = [join(root, 'a', '.shoal-old'), join(root, 'a', '.shoal-young')];
  for (const path of [old, young]) await writeFile(path, 'x');
  await utimes(old, Date.now() / 1000 - 100_000, Date.now() / 1000 - 100_000);
  await backend.put('a/b', Buffer.from('x'), never);
  for (let n = 0; n < 50 && (await readdir(join(root, 'a'))).length > 2; n++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  expect((await readdir(join(root, 'a'))).toSorted()).toEqual(['.shoal-young', 'b']);
});

test('in a directory that others write to as well, what a killed writer left stays', async () => {
  const { root, files } = await made();
  await using backend = new FileBackend({ name: 'shared', root, files, shared: true });
  await mkdir(join(root, 'a'));
  const old = join(root, 'a', '.shoal-old');
  await writeFile(old, 'x');
  await utimes(old, Date.now() / 1000 - 100_000, Date.now() / 1000 - 100_000);
  await backend.put('a/b', Buffer.from('x'), never);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect((await readdir(join(root, 'a'))).toSorted()).toEqual(['.shoal-old', 'b']);
});

test('a file system that hangs is left by whoever waits, and goes on once it is back', async () => {
  const { backend, files } = await made();
  await put(backend, 'old');
  const back = Promise.withResolvers<void>();
  files.before = () => back.promise;
  const ends = Array.from({ length: 8 }, async (_, i) => {
    const signal = AbortSignal.timeout(50 + i);
    return await backend.stat('key', signal).catch((error: Error) => error.name);
  });
  expect(await Promise.all(ends)).toEqual(Array.from({ length: 8 }, () => 'TimeoutError'));
  back.resolve();
  files.before = async () => undefined;
  expect(await text(backend, 'key')).toBe('old');
});

test.each([
  ['EACCES', 'denied', 'right to read and write'],
  ['EROFS', 'denied', 'read-only'],
  ['ENOSPC', 'full', 'no room'],
  ['ENAMETOOLONG', 'refused', 'longer'],
  ['ESTALE', 'unavailable', 'replaced'],
  ['ETIMEDOUT', 'unavailable', 'mounted'],
])('%s is %s, with what to do', async (code, why, words) => {
  const { backend, files } = await made();
  files.before = async (call, path) => {
    if (call === 'open create') throw coded(code, path);
  };
  const wanted = { why, message: expect.stringMatching(new RegExp(`^main: key: .*${words}`)) };
  await expect(put(backend, 'x')).rejects.toMatchObject(wanted);
});

test('a directory that vanishes is missing, and is not made', async () => {
  const { backend, root } = await made();
  await put(backend, 'x');
  await rm(root, { recursive: true });
  const wanted = { why: 'missing', message: expect.stringContaining(`there is no directory ${root}`) };
  await expect(backend.stat('key', never)).rejects.toMatchObject(wanted);
  await expect(backend.probe(never)).rejects.toMatchObject(wanted);
  await expect(backend.put('a/b', Buffer.alloc(1), never)).rejects.toMatchObject(wanted);
  await expect(backend.list('', { max: 1 }, never)).rejects.toMatchObject(wanted);
  await expect(bytesOf(backend.read('key', { start: 0, end: 1 }, never))).rejects.toMatchObject(wanted);
  await expect(lstat(root)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a file in the place of the directory is missing, and never says that an object is not there', async () => {
  const { backend, root } = await made();
  await rm(root, { recursive: true });
  await writeFile(root, '');
  const wanted = { why: 'missing', message: expect.stringContaining(`there is no directory ${root}`) };
  await expect(backend.stat('key', never)).rejects.toMatchObject(wanted);
  await expect(backend.put('a/b', Buffer.alloc(1), never)).rejects.toMatchObject(wanted);
  await expect(backend.list('', { max: 1 }, never)).rejects.toMatchObject(wanted);
  await expect(bytesOf(backend.read('key', { start: 0, end: 1 }, never))).rejects.toMatchObject(wanted);
});

test('without links there are no conditions, and a probe says so', async () => {
  const { backend, files } = await made();
  const first = await put(backend, 'x');
  files.before = async (call, path) => {
    if (call === 'link' || call === 'mark') throw coded('EPERM', path);
  };
  await backend.probe(never);
  expect(backend.can.conditions).toBe(false);
  await expect(put(backend, 'y', first.version)).rejects.toMatchObject({ why: 'unsupported' });
});
