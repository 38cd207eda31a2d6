/**
 * Disks that fail under an origin's store, as a real ext4 and the kernel tell of it: one that answers EIO to everything,
 * to one file, or only after a while; one that hangs; one that is read-only. The store's other volume goes on.
 */

import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { type BlobStoreOptions, originPromises } from '../../../platform/store/options.ts';
import { readAll, sameBlob, upload } from '../../../platform/store/store.fixtures.ts';
import { BlobStore } from '../../../platform/store/store.ts';
import { Workers } from '../../../platform/workers/workers.ts';
import { run, temporary } from '../processes.ts';
import { blobNo } from './blobs.ts';
import { ImageDisk } from './image.ts';
import type { Mood } from './log.ts';

const imageBytes = 64 * 2 ** 20;
const blobs = 40;
const hungMs = 3_000;
const lookMs = 500;
const soon = { timeout: 40_000, interval: 100 };

/** A store with one volume on a disk in our hand, and its data directory on the machine's. */
async function twoDisks(stack: AsyncDisposableStack, more: Partial<BlobStoreOptions> = {}) {
  const folder = await temporary(stack, 'failing');
  const disk = await ImageDisk.start(folder, imageBytes, stack);
  const workers = stack.use(await Workers.start({ count: 1, lanes: 2, arenaBytes: 64 * 2 ** 20 }));
  const sick = join(disk.path, 'volume');
  await run('mkdir', [sick]);
  const data = join(folder, 'data');
  const volumes = [data, sick].map((path) => ({ path, weight: 1 }));
  const base = { dir: data, ...originPromises, workers, budgetBytes: 1e9, flushEveryMs: 0 };
  const store = stack.use(await BlobStore.open({ ...base, volumes, watch: { hungMs, lookMs }, ...more }));
  const missing = new Set<Digest>();
  store.watch({ missing: (digest) => missing.add(digest), returned: (digest) => missing.delete(digest) });
  for (let no = 0; no < blobs; no += 1) await upload(store, `upload-of-the-blob-${no}`, blobNo(no));
  const there = (await files(sick)).map((file) => digestOf(file));
  expect(there.length).toBeGreaterThan(5);
  const state = (): string | undefined => store.volumes.all.find(({ plan }) => plan.path === sick)?.state;
  return { disk, store, workers, sick, there, missing, state };
}
type Sick = Awaited<ReturnType<typeof twoDisks>>;

async function files(volume: string): Promise<string[]> {
  const all = await readdir(join(volume, 'blobs'), { recursive: true, withFileTypes: true });
  return all.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name));
}
const digestOf = (file: string): Digest => `sha256:${file.split('/').at(-1)?.split('.')[0]}` as Digest;

/** What was read before is in the kernel's memory: a disk that dies shows once that has gone. */
async function forget(): Promise<void> {
  await run('sh', ['-c', 'sync; echo 3 > /proc/sys/vm/drop_caches']);
}

async function readsRight({ store, workers }: Sick, no: number): Promise<boolean> {
  const entry = store.get(blobNo(no).digest);
  return entry?.complete === true && sameBlob(await readAll(workers.arena, entry), blobNo(no));
}

async function costsItsBlobsOnly(found: Sick, mood: Mood): Promise<void> {
  const { disk, store, there, missing, state } = found;
  await forget();
  await disk.be(mood);
  const at = (no: number): boolean => there.includes(blobNo(no).digest);
  const numbers = Array.from({ length: blobs }, (_, no) => no);
  // Somebody reads what is there, and pushes go on.
  for (const no of numbers.filter(at).slice(0, 3)) void readsRight(found, no).catch(() => undefined);
  await vi.waitFor(() => expect(state()).toBe('lost'), soon);
  await vi.waitFor(() => expect([...missing].sort()).toEqual(there.toSorted()), soon);
  for (const no of numbers.filter((one) => !at(one))) expect(await readsRight(found, no)).toBe(true);
  for (let no = 100; no < 105; no += 1) await upload(store, `upload-of-the-blob-${no}`, blobNo(no));
  for (let no = 100; no < 105; no += 1) expect(await readsRight(found, no)).toBe(true);
}

async function comesBack(found: Sick): Promise<void> {
  await found.disk.be({ kind: 'well' });
  await vi.waitFor(() => expect(found.state()).toBe('well'), soon);
  await vi.waitFor(() => expect(found.missing.size).toBe(0), soon);
  for (let no = 0; no < blobs; no += 1) expect(await readsRight(found, no)).toBe(true);
}

test('a disk that hangs costs its blobs and no more, and all of them are back when it answers', async () => {
  await using stack = new AsyncDisposableStack();
  const found = await twoDisks(stack);
  await costsItsBlobsOnly(found, { kind: 'hangs' });
  await comesBack(found);
});

test('a disk that hangs as a list of piece hashes is read holds up nobody else: the main thread goes on', async () => {
  await using stack = new AsyncDisposableStack();
  // No list stays in memory.
  const found = await twoDisks(stack, { idleMax: 0 });
  const { disk, store, there } = found;
  await forget();
  await disk.be({ kind: 'hangs' });
  const entry = store.get(there[0] as Digest);
  expect(entry?.hashesLoaded).toBe(false);
  let ticks = 0;
  const ticking = setInterval(() => {
    ticks += 1;
  }, 10);
  stack.defer(() => clearInterval(ticking));
  const asked = entry?.listed().then(
    () => 'listed',
    (error: { code: string }) => error.code,
  );
  for (let no = 0; no < blobs; no += 1)
    if (!there.includes(blobNo(no).digest)) expect(await readsRight(found, no)).toBe(true);
  expect(await asked).toBe('UNAVAILABLE');
  expect(ticks).toBeGreaterThan(20);
  await comesBack(found);
});

test('a disk that answers EIO after 10 s, each time, costs its blobs and no more', async () => {
  await using stack = new AsyncDisposableStack();
  const found = await twoDisks(stack);
  await costsItsBlobsOnly(found, { kind: 'late', ms: 10_000 });
  await found.disk.be({ kind: 'well' });
});

test('a disk that answers EIO to everything costs its blobs and no more', async () => {
  await using stack = new AsyncDisposableStack();
  const found = await twoDisks(stack);
  await costsItsBlobsOnly(found, { kind: 'EIO' });
});

test('EIO for one file costs that one blob: it is told as missing, and a push mends it', async () => {
  await using stack = new AsyncDisposableStack();
  const found = await twoDisks(stack);
  const { disk, store, workers, sick, missing, state } = found;
  const large = (await Promise.all((await files(sick)).map(async (file) => ({ file, bytes: (await stat(file)).size }))))
    .filter(({ bytes }) => bytes > 1_000_000)
    .at(0);
  if (large === undefined) throw new Error('no large blob lies on that volume');
  // Where the file system has put it, by what is in it.
  await forget();
  const begin = (await readFile(large.file)).subarray(0, 4096);
  const image = await readFile(join(disk.path, '..', 'fuse', 'image'));
  const from = image.indexOf(begin);
  expect(from).toBeGreaterThan(0);
  await forget();
  await disk.be({ kind: 'EIO', part: { from, to: from + 4096 } });
  const digest = digestOf(large.file);
  const no = Array.from({ length: blobs }, (_, one) => one).find((one) => blobNo(one).digest === digest) as number;
  const entry = store.get(digest);
  if (entry !== undefined) expect(await readAll(workers.arena, entry)).toBeUndefined();
  expect([...missing]).toEqual([digest]);
  expect(state()).toBe('well');
  for (let other = 0; other < blobs; other += 1) if (other !== no) expect(await readsRight(found, other)).toBe(true);
  await upload(store, 'upload-that-mends', blobNo(no));
  await forget();
  expect(await readsRight(found, no)).toBe(true);
});

test('a disk that refuses writes makes its file system read-only: that serves on, and takes nothing new', async () => {
  await using stack = new AsyncDisposableStack();
  const found = await twoDisks(stack);
  const { disk, store, sick, there, missing, state } = found;
  await disk.be({ kind: 'unwritable' });
  for (let no = 200; no < 230 && state() === 'well'; no += 1)
    await upload(store, `upload-of-the-blob-${no}`, blobNo(no)).catch(() => undefined);
  await vi.waitFor(() => expect(state()).toBe('read-only'), soon);
  await vi.waitFor(() => expect(missing.size).toBe(0), soon);
  for (let no = 0; no < blobs; no += 1) expect(await readsRight(found, no)).toBe(true);
  for (let no = 300; no < 310; no += 1) await upload(store, `upload-of-the-blob-${no}`, blobNo(no));
  const now = new Set((await files(sick)).map((file) => digestOf(file)));
  for (let no = 300; no < 310; no += 1) expect(now.has(blobNo(no).digest)).toBe(false);
  for (const digest of there) expect(now.has(digest)).toBe(true);
});
