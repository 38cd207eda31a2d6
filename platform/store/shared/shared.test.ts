/** Blobs whose file a container runtime has as well: on the disk once, never written to, and whose they are when it lets go. */

import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { digestHex } from '../../../core/digest.ts';
import { unitBytes } from '../../../core/piece.ts';
import { bytesOnDisk } from '../layout.ts';
import type { BlobStoreOptions } from '../options.ts';
import { type Blob, blobFiles, blobOf, damage, readAll, TestStores } from '../store.fixtures.ts';
import type { BlobStore } from '../store.ts';
import { NotShareable, shareFile } from './files.ts';
import type { Shared } from './shared.ts';
import { NotTheBlob } from './taking.ts';

const stores = new TestStores();
beforeAll(() => stores.start());
afterEach(() => stores.after());
afterAll(() => stores.stop());

const a = blobOf(3 * unitBytes + 5, 1);
const reading = { signal: new AbortController().signal };

/** A store, and beside it the runtime's: `put` has it write a blob. */
async function setUp(o: Partial<BlobStoreOptions> = {}) {
  const dir = stores.directory();
  const runtime = join(dirname(dir), 'runtime');
  mkdirSync(runtime);
  const store = await stores.open(dir, { shares: true, ...o });
  const put = (blob: Blob, bytes = blob.bytes): string => {
    const path = join(runtime, digestHex(blob.digest));
    writeFileSync(path, bytes, { mode: 0o444 });
    return path;
  };
  return { dir, store, put, shared: store.shared as Shared };
}

const namesIn = (dir: string): string[] => readdirSync(join(dir, 'shared')).sort();
const fileOf = (store: BlobStore, { digest }: Blob): string => store.get(digest)?.file.path ?? '';

test('what the runtime has is taken by a second name: read as all others, and it costs the budget nothing', async () => {
  const { dir, store, put, shared } = await setUp();
  const from = put(a);
  const taken = await shared.take(a.digest, from, reading);
  expect(taken).toMatchObject({ how: 'link', before: 0 });
  expect(taken?.entry.meta).toEqual(a.meta);
  expect(await stores.intact(store, a)).toBe(true);
  expect(statSync(fileOf(store, a)).ino).toBe(statSync(from).ino);
  expect([store.usedBytes, blobFiles(dir).length, shared.bytes]).toEqual([0, 0, a.meta.length]);
  expect([...store.blobs()].map(({ digest }) => digest)).toEqual([a.digest]);
  expect(await store.whole(a.digest, 'sample')).toBe(taken?.entry);
});

test('what is not its digest is never taken, and nothing of it stays', async () => {
  const { dir, store, put, shared } = await setUp();
  const from = put(a, Buffer.from(a.bytes).fill(7, 300_000, 300_001));
  await expect(shared.take(a.digest, from, reading)).rejects.toThrow(NotTheBlob);
  await expect(shared.take(a.digest, put(a, a.bytes.subarray(1)), reading)).rejects.toThrow(NotTheBlob);
  expect(store.get(a.digest)).toBeUndefined();
  expect(namesIn(dir)).toEqual([]);
  expect(statSync(from).nlink).toBe(1);
});

test('the cache has it already: its copy goes, and who has the entry reads on in the shared file', async () => {
  const { dir, store, put, shared } = await setUp();
  await stores.pull(store, a);
  const entry = store.get(a.digest);
  const unpin = entry?.pin();
  const told: string[] = [];
  store.watch({ evicted: (digest) => void told.push(digest) });
  const taken = await shared.take(a.digest, put(a), reading);
  expect(taken).toMatchObject({ how: 'link', before: bytesOnDisk(a.meta) });
  expect(taken?.entry).toBe(entry);
  expect([blobFiles(dir), store.usedBytes, told]).toEqual([[], 0, []]);
  expect(await stores.intact(store, a)).toBe(true);
  unpin?.();
});

test('what came in part is whole by it, and takes no more pieces', async () => {
  const { dir, store, put, shared } = await setUp();
  const entry = await store.create(a.digest, a.meta, a.hashes);
  expect(entry.complete).toBe(false);
  expect((await shared.take(a.digest, put(a), reading))?.entry).toBe(entry);
  expect([entry.complete, blobFiles(dir)]).toEqual([true, []]);
  expect(await stores.intact(store, a)).toBe(true);
});

test('the runtime lets go: it is a blob of the cache where that has room, counted, and a restart finds it', async () => {
  const { dir, store, put, shared } = await setUp();
  const from = put(a);
  await shared.take(a.digest, from, reading);
  unlinkSync(from);
  expect(await shared.letGo(a.digest)).toBe(true);
  expect(await stores.intact(store, a)).toBe(true);
  expect([store.usedBytes, shared.count, namesIn(dir)]).toEqual([bytesOnDisk(a.meta), 0, []]);
  await stores.close(store);
  const again = await stores.open(dir, { shares: true });
  expect(await stores.intact(again, a)).toBe(true);
});

test('the runtime lets go, and there is no room beside what is here: it goes, nothing else does', async () => {
  const b = blobOf(3 * unitBytes, 2);
  const { dir, store, put, shared } = await setUp({ budgetBytes: bytesOnDisk(a.meta) + 100 });
  const from = put(a);
  await shared.take(a.digest, from, reading);
  await stores.pull(store, b);
  const told: string[] = [];
  store.watch({ evicted: (digest) => void told.push(digest) });
  unlinkSync(from);
  expect(await shared.letGo(a.digest)).toBe(false);
  expect([told, namesIn(dir), store.get(a.digest)]).toEqual([[a.digest], [], undefined]);
  expect(await stores.intact(store, b)).toBe(true);
});

test('above the low watermark what the runtime lets go of goes', async () => {
  const low = { freeBytes: Number.MAX_SAFE_INTEGER };
  const { store, put, shared } = await setUp({ eviction: { watermarks: { high: { freeBytes: 1 }, low } } });
  const from = put(a);
  await shared.take(a.digest, from, reading);
  unlinkSync(from);
  expect(await shared.letGo(a.digest)).toBe(false);
  expect(store.get(a.digest)).toBeUndefined();
});

test('a file that has another name still is never written to', async () => {
  const { store, put, shared } = await setUp();
  const from = put(a);
  linkSync(from, `${from}.backup`);
  await shared.take(a.digest, from, reading);
  unlinkSync(from);
  expect(await shared.letGo(a.digest)).toBe(false);
  expect(readFileSync(`${from}.backup`).equals(a.bytes)).toBe(true);
  expect(store.get(a.digest)).toBeUndefined();
});

test('a restart finds what was shared; one that shares no more lets go of it', async () => {
  const { dir, store, put, shared } = await setUp();
  const from = put(a);
  await shared.take(a.digest, from, reading);
  await stores.close(store);
  writeFileSync(join(dir, 'shared', 'new-7'), 'cut off');
  const again = await stores.open(dir, { shares: true });
  expect(await stores.intact(again, a)).toBe(true);
  expect(namesIn(dir)).toHaveLength(2);
  expect(again.shared?.idOf(a.digest)).toBe(shared.idOf(a.digest));
  await stores.close(again);
  const without = await stores.open(dir);
  expect([without.get(a.digest), namesIn(dir), statSync(from).nlink]).toEqual([undefined, [], 1]);
});

test('decayed bytes are let go of, and the runtime’s file is not mended by us', async () => {
  const { store, put, shared } = await setUp();
  const from = put(a);
  const entry = (await shared.take(a.digest, from, reading))?.entry;
  damage(from, unitBytes + 10);
  const before = readFileSync(from);
  const told: string[] = [];
  store.watch({ evicted: (digest) => void told.push(digest) });
  expect(await readAll(stores.workers.arena, entry as NonNullable<typeof entry>)).toBeUndefined();
  expect([store.get(a.digest), told]).toEqual([undefined, [a.digest]]);
  await stores.pull(store, a);
  expect(await stores.intact(store, a)).toBe(true);
  expect(readFileSync(from).equals(before)).toBe(true);
});

test('removed as all others, and the runtime keeps its file', async () => {
  const { dir, store, put, shared } = await setUp();
  const from = put(a);
  await shared.take(a.digest, from, reading);
  await store.remove(a.digest);
  expect([store.get(a.digest), namesIn(dir), existsSync(from)]).toEqual([undefined, [], true]);
});

test('a list of piece hashes that decayed: the blob is let go of, its file untouched', async () => {
  const { dir, store, put, shared } = await setUp();
  const from = put(a);
  await shared.take(a.digest, from, reading);
  await stores.close(store);
  damage(join(dir, 'shared', namesIn(dir).find((name) => name.endsWith('.list')) ?? ''), 3);
  const again = await stores.open(dir, { shares: true });
  const entry = again.get(a.digest);
  expect(await again.problemOf(entry as NonNullable<typeof entry>)).toBeDefined();
  expect(again.get(a.digest)).toBeUndefined();
  expect(readFileSync(from).equals(a.bytes)).toBe(true);
});

test.skipIf(!existsSync('/dev/shm'))('another file system: said, with what was tried', async () => {
  const other = mkdtempSync('/dev/shm/shoal-');
  try {
    const { put } = await setUp();
    await expect(shareFile(put(a), join(other, 'a'))).rejects.toMatchObject({ link: 'EXDEV' });
    await expect(shareFile(put(a), join(other, 'a'))).rejects.toThrow(NotShareable);
    expect(readdirSync(other)).toEqual([]);
  } finally {
    rmSync(other, { recursive: true });
  }
});
