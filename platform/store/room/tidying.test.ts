import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { RealDisk } from '../disk/real-disk.ts';
import { bytesOnDisk } from '../layout.ts';
import { originPromises } from '../options.ts';
import { type Blob, blobOf, TestStores, upload } from '../store.fixtures.ts';
import type { BlobStore } from '../store.ts';
import { claimMs } from './let-go.ts';
import { type Eviction, Tidying } from './tidying.ts';

const stores = new TestStores();
beforeAll(() => stores.start());
afterEach(() => stores.after());
afterAll(() => stores.stop());

const blobs = Array.from({ length: 10 }, (_, i) => blobOf(1_000, i + 1));
const each = bytesOnDisk((blobs[0] as Blob).meta);
const now = Math.floor(Date.now() / 1000);
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
const digestsOf = (some: readonly Blob[]) => some.map(({ digest }) => digest);

/** A file system on which nothing else lies, twice as large as all blobs. */
function tidying(store: BlobStore, eviction: Eviction, seconds = now): Tidying {
  const disk = new RealDisk();
  const totalBytes = 2 * blobs.length * each;
  disk.space = async () => ({ freeBytes: totalBytes - store.usedBytes, totalBytes });
  const { room, volumes } = store;
  return new Tidying({ eviction, disk, volumes, room, wallSeconds: () => seconds, log: quiet, everyMs: 0 });
}

async function filled(o: Parameters<TestStores['open']>[1] = {}): Promise<BlobStore> {
  const store = await stores.open(stores.directory(), o);
  for (const blob of blobs) await stores.pull(store, blob);
  return store;
}

const at = (high: number, low: number): Eviction => ({
  watermarks: { high: { percent: high }, low: { percent: low } },
});

test('above the high watermark the least recently used go, down to the low one; below it nothing does', async () => {
  const store = await filled();
  await tidying(store, at(51, 20)).tidy();
  expect(store.count).toBe(10);
  store.get((blobs[0] as Blob).digest)?.touch();
  await tidying(store, at(49, 20)).tidy();
  expect([...store.room.inOrder()]).toEqual(digestsOf([...blobs.slice(7), blobs[0] as Blob]));
  await tidying(store, at(21, 5)).tidy();
  expect(store.count).toBe(4);
});

test('the same in bytes that are free', async () => {
  const store = await filled();
  const free = (blobsFree: number) => ({ freeBytes: blobsFree * each });
  await tidying(store, { watermarks: { high: free(10), low: free(12) } }).tidy();
  expect(store.count).toBe(10);
  await tidying(store, { watermarks: { high: free(11), low: free(13) } }).tidy();
  expect(store.count).toBe(7);
});

test('what is read or needed by others stays, however full the disk is and however old it is', async () => {
  const [read, needed] = blobs as [Blob, Blob];
  const store = await filled({ stays: (digest) => digest === needed.digest });
  const unpin = store.get(read.digest)?.pin();
  await tidying(store, { ...at(2, 1), ttiMs: 60_000 }, now + 3600).tidy();
  expect(new Set(store.room.inOrder())).toEqual(new Set(digestsOf([read, needed])));
  unpin?.();
  await tidying(store, { ttlMs: 60_000 }, now + 3600).tidy();
  expect([...store.room.inOrder()]).toEqual([needed.digest]);
});

test('what nobody used for long goes, and what came long ago, each by its own age', async () => {
  const store = await filled();
  await tidying(store, { ttiMs: 7_200_000, ttlMs: 7_200_000 }, now + 3600).tidy();
  expect(store.count).toBe(10);
  await tidying(store, { ttiMs: 1_800_000 }, now + 3600).tidy();
  expect(store.count).toBe(0);
  await stores.pull(store, blobs[0] as Blob);
  await tidying(store, { ttlMs: 1_800_000 }, now + 3600).tidy();
  expect(store.count).toBe(0);
});

test('of a store that keeps only what nobody needs goes', async () => {
  const unneeded = blobs.slice(2, 5);
  const store = await stores.open(stores.directory(), {
    ...originPromises,
    askUnneeded: async (asked) => ({
      unneeded: asked.filter((digest) => digestsOf(unneeded).includes(digest)),
      waiting: 0,
    }),
  });
  for (const [i, blob] of blobs.entries()) await upload(store, `up-${i}`, blob);
  // What was pushed just now is not asked about for a moment.
  await new Promise((resolve) => setTimeout(resolve, claimMs + 100));
  await tidying(store, at(2, 1)).tidy();
  expect(new Set(store.room.inOrder())).toEqual(new Set(digestsOf([...blobs.slice(0, 2), ...blobs.slice(5)])));
}, 20_000);
