/** Several volumes: real directories, with a disk that hangs, refuses and turns read-only where it is told to. */

import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Digest, digestHex } from '../../../core/digest.ts';
import { unitBytes } from '../../../core/piece.ts';
import { SHARES } from '../../workers/arena.ts';
import { Workers } from '../../workers/workers.ts';
import { agentPromises, type BlobStoreOptions, originPromises } from '../options.ts';
import { blobOf, readAll, sameBlob, upload, writeAll } from '../store.fixtures.ts';
import { BlobStore } from '../store.ts';
import { MoodyDisk } from './moody-disk.fixtures.ts';

const hungMs = 2_000;
const lookMs = 50;
let dir: string;
let disk: MoodyDisk;
let workers: Workers;
const open: BlobStore[] = [];
let paths: string[];
let lost: { missing: Digest[]; evicted: Digest[]; returned: Digest[] };

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-volumes-'));
  paths = ['one', 'two', 'three'].map((name) => join(dir, name));
  for (const path of paths) mkdirSync(path);
  disk = new MoodyDisk();
  workers = await Workers.start({ count: 1, lanes: 4, arenaBytes: 64 * unitBytes });
  lost = { missing: [], evicted: [], returned: [] };
});
afterEach(async () => {
  disk.calm();
  for (const store of open.splice(0)) await store[Symbol.asyncDispose]();
  await vi.waitFor(() => {
    for (const share of SHARES) expect(workers.arena.freeBytes(share)).toBe(workers.arena.shareBytes(share));
  });
  await workers[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

async function start(o: Partial<BlobStoreOptions> = {}): Promise<BlobStore> {
  const store = await BlobStore.open({
    dir: join(dir, 'data'),
    ...originPromises,
    workers: disk.io(workers),
    budgetBytes: 1e9,
    volumes: paths.map((path) => ({ path, weight: 1 })),
    disk,
    watch: { hungMs, lookMs },
    flushEveryMs: 0,
    ...o,
  });
  open.push(store);
  store.watch({
    missing: (digest) => lost.missing.push(digest),
    evicted: (digest) => lost.evicted.push(digest),
    returned: (digest) => lost.returned.push(digest),
  });
  return store;
}

async function stop(): Promise<void> {
  for (const store of open.splice(0)) await store[Symbol.asyncDispose]();
}

const blobs = Array.from({ length: 24 }, (_, i) => blobOf(20_000 + i, i + 1));
async function fill(store: BlobStore): Promise<void> {
  for (const [i, blob] of blobs.entries()) await upload(store, `upload-of-blob-${i}`, blob);
}

/** Digests of the files in a volume. */
function lie(path: string): Digest[] {
  const root = join(path, 'blobs', 'sha256');
  return readdirSync(root)
    .flatMap((shard) => readdirSync(join(root, shard)))
    .map((name) => `sha256:${name.split('.')[0]}` as Digest);
}

const stateOf = (store: BlobStore, path: string) => store.volumes.all.find(({ plan }) => plan.path === path)?.state;
async function allRight(store: BlobStore, of = blobs): Promise<void> {
  for (const blob of of) {
    const entry = store.get(blob.digest);
    expect(entry?.complete).toBe(true);
    if (entry !== undefined) expect(sameBlob(await readAll(workers.arena, entry), blob)).toBe(true);
  }
}

test('blobs are spread over the volumes, none goes to the data directory, and a start finds them', async () => {
  await fill(await start());
  for (const path of paths) expect(lie(path).length).toBeGreaterThan(0);
  expect(lie(join(dir, 'data'))).toEqual([]);
  await stop();
  await allRight(await start());
});

test('a store of before, with all in its data directory, opens as it is, and goes back to one without volumes', async () => {
  await fill(await start({ volumes: [] }));
  await stop();
  const store = await start();
  await allRight(store);
  await upload(store, 'upload-of-another', blobOf(5_000, 99));
  await stop();
  await allRight(await start({ volumes: [] }));
});

test('a weight of three takes three times as much, and a budget is not exceeded while others have room', async () => {
  const [one, two, three] = paths as [string, string, string];
  const volumes = [
    { path: one, weight: 6 },
    { path: two, weight: 2 },
    { path: three, weight: 100, budget: 50_000 },
  ];
  const store = await start({ volumes, ...agentPromises });
  for (let i = 0; i < 400; i += 1) {
    const blob = blobOf(3_000 + i, 1000 + i);
    await store.create(blob.digest, blob.meta, blob.hashes, blob.bytes);
  }
  const counts = store.volumes.all.map(({ blobs: count }) => count);
  expect(counts[0]).toBe(0);
  expect(counts[3]).toBeGreaterThan(10);
  expect(store.volumes.all[3]?.usedBytes).toBeLessThanOrEqual(50_000 + 4_000);
  expect((counts[1] as number) / (counts[2] as number)).toBeGreaterThan(2);
});

for (const how of ['EIO', 'hangs'] as const) {
  test(`a volume that ${how === 'EIO' ? 'refuses everything' : 'hangs'} costs its blobs and no more, and comes back`, async () => {
    const store = await start();
    await fill(store);
    const [, sick] = paths as [string, string];
    const there = lie(sick);
    const others = blobs.filter(({ digest }) => !there.includes(digest));
    disk.mood(sick, how);
    // Whoever reads from it gets an answer.
    const asked = blobs.filter(({ digest }) => there.includes(digest)).slice(0, 3);
    await Promise.all(asked.map(async ({ digest }) => store.whole(digest, 'sample').catch(() => undefined)));
    const first = store.get((asked[0] as (typeof blobs)[0]).digest);
    if (first !== undefined) await readAll(workers.arena, first).catch(() => undefined);
    await vi.waitFor(() => expect(stateOf(store, sick)).toBe('lost'), 5_000);
    await vi.waitFor(() => expect(lost.missing.toSorted()).toEqual(there.toSorted()));
    expect(lost.evicted.toSorted()).toEqual(there.toSorted());
    expect(store.volumes.problems()).toEqual([expect.stringContaining(sick)]);
    // The rest goes on: what is read, and what is pushed.
    await allRight(store, others);
    const again = blobs.filter(({ digest }) => there.includes(digest)).slice(0, 4);
    for (const [i, blob] of again.entries()) await upload(store, `upload-once-more-${i}`, blob);
    await allRight(store, again);
    disk.calm();
    await vi.waitFor(() => expect(stateOf(store, sick)).toBe('well'), 5_000);
    await vi.waitFor(() => expect(lost.returned.length).toBe(there.length - again.length), 5_000);
    await allRight(store);
    // What came anew meanwhile lies once.
    await vi.waitFor(() => {
      const all = paths.flatMap(lie);
      expect(all.length).toBe(new Set(all).size);
    });
  });
}

test('a volume that turns read-only goes on serving, and takes nothing new until it is well', async () => {
  const store = await start();
  await fill(store);
  const [sick] = paths as [string];
  const before = lie(sick).length;
  disk.mood(sick, 'EROFS');
  for (let i = 0; i < 30 && stateOf(store, sick) === 'well'; i += 1)
    await upload(store, `upload-that-meets-it-${i}`, blobOf(900 + i, 500 + i)).catch(() => undefined);
  expect(stateOf(store, sick)).toBe('read-only');
  await allRight(store);
  for (let i = 0; i < 12; i += 1) await upload(store, `upload-past-it-${i}`, blobOf(700 + i, 600 + i));
  expect(lie(sick).length).toBe(before);
  expect(lost).toEqual({ missing: [], evicted: [], returned: [] });
  disk.calm();
  await vi.waitFor(() => expect(stateOf(store, sick)).toBe('well'), 5_000);
  for (let i = 0; i < 12; i += 1) await upload(store, `upload-to-it-${i}`, blobOf(800 + i, 700 + i));
  expect(lie(sick).length).toBeGreaterThan(before);
});

test('a volume that answers again while what it hung at never ends keeps nobody waiting, and is back once that ends', async () => {
  const store = await start();
  await fill(store);
  const [sick] = paths as [string];
  const there = lie(sick);
  const [asked] = there as [Digest];
  // Looks at it are answered all the time.
  disk.mood(join(sick, 'blobs', 'sha256', digestHex(asked).slice(0, 2)), 'hangs');
  await store.remove(asked).catch(() => undefined);
  await vi.waitFor(() => expect(store.volumes.problems()).toEqual([expect.stringContaining('have not ended')]), 30_000);
  expect(stateOf(store, sick)).toBe('lost');
  disk.forget();
  // Further looks change nothing, and everything else goes on.
  for (let i = 0; i < 12; i += 1) await upload(store, `upload-meanwhile-${i}`, blobOf(700 + i, 600 + i));
  await allRight(
    store,
    blobs.filter(({ digest }) => !there.includes(digest)),
  );
  expect(stateOf(store, sick)).toBe('lost');
  expect(lost.returned).toEqual([]);
  disk.calm();
  await vi.waitFor(() => expect(stateOf(store, sick)).toBe('well'), 60_000);
  await vi.waitFor(() => expect(lost.returned.length).toBeGreaterThanOrEqual(there.length - 1), 60_000);
  await allRight(
    store,
    blobs.filter(({ digest }) => digest !== asked),
  );
});

test('an empty directory in the place of a volume is not that volume: nothing is written there, and its blobs count as lost', async () => {
  await fill(await start());
  await stop();
  const [, away] = paths as [string, string];
  const there = lie(away);
  renameSync(away, `${away}-elsewhere`);
  mkdirSync(away);
  const store = await start();
  expect(stateOf(store, away)).toBe('lost');
  for (let i = 0; i < 12; i += 1) await upload(store, `upload-meanwhile-${i}`, blobOf(700 + i, 600 + i));
  expect(readdirSync(away)).toEqual([]);
  for (const digest of there) expect(store.get(digest)).toBeUndefined();
  // It is mounted.
  rmSync(away, { recursive: true });
  renameSync(`${away}-elsewhere`, away);
  await vi.waitFor(() => expect(stateOf(store, away)).toBe('well'), 5_000);
  await vi.waitFor(() => expect(lost.returned.toSorted()).toEqual(there.toSorted()));
  await allRight(store);
});

test('a volume whose files cannot be looked up as a start finds them costs its blobs, and not the start', async () => {
  await fill(await start());
  await stop();
  const [sick] = paths as [string];
  const there = lie(sick);
  const shard = join(sick, 'blobs', 'sha256', 'ab');
  mkdirSync(shard, { recursive: true });
  // So many that they are asked for together, in other threads.
  for (let no = 0; no < 450; no++)
    writeFileSync(join(shard, `ab${no.toString(16).padStart(62, '0')}.0.18.${'0'.repeat(64)}`), '');
  const { sizes } = disk;
  disk.sizes = (at, names) => {
    disk.mood(sick, 'hangs');
    return sizes.call(disk, at, names);
  };
  const store = await start();
  expect(stateOf(store, sick)).toBe('lost');
  await allRight(
    store,
    blobs.filter(({ digest }) => !there.includes(digest)),
  );
});

test('a new disk is taken once somebody says that it is one; another volume in its place is a mistake', async () => {
  await fill(await start());
  await stop();
  const [one, two] = paths as [string, string];
  // A volume of another store.
  rmSync(two, { recursive: true });
  mkdirSync(two);
  const other = await start({ dir: join(dir, 'other'), volumes: [{ path: two, weight: 1 }] });
  await upload(other, 'upload-of-the-other', blobOf(1_000, 77));
  await stop();
  let store = await start();
  expect(stateOf(store, two)).toBe('lost');
  expect(store.volumes.problems()[0]).toContain('another volume');
  await stop();
  rmSync(two, { recursive: true });
  mkdirSync(two);
  writeFileSync(join(two, 'new-volume'), '');
  store = await start();
  expect(stateOf(store, two)).toBe('well');
  expect(readdirSync(two)).not.toContain('new-volume');
  for (let i = 0; i < 12; i += 1) await upload(store, `upload-to-the-new-${i}`, blobOf(700 + i, 600 + i));
  expect(lie(two).length).toBeGreaterThan(0);
  await stop();
  // Two that are swapped are known by their ids.
  renameSync(one, `${one}-moved`);
  renameSync(two, one);
  renameSync(`${one}-moved`, two);
  store = await start();
  expect(store.volumes.problems()).toEqual([]);
  for (const path of [one, two]) for (const digest of lie(path)) expect(store.get(digest)?.complete).toBe(true);
});

test('what cannot be right is refused at the start: a directory of others, one that was never there, one that is in use', async () => {
  const [one] = paths as [string];
  writeFileSync(join(one, 'letters.txt'), '');
  await expect(start()).rejects.toThrow(/letters\.txt/);
  rmSync(join(one, 'letters.txt'));
  await expect(start({ volumes: [{ path: join(dir, 'nowhere'), weight: 1 }] })).rejects.toThrow(
    /there is no directory/,
  );
  await start();
  await expect(start({ dir: join(dir, 'other') })).rejects.toThrow(/in use by another process/);
});

test('a blob that was removed while its volume was lost stays removed', async () => {
  const store = await start();
  await fill(store);
  const [sick] = paths as [string];
  const there = lie(sick);
  disk.mood(sick, 'EIO');
  await vi.waitFor(() => expect(stateOf(store, sick)).toBe('lost'), 5_000);
  await vi.waitFor(() => expect(lost.missing.length).toBe(there.length));
  const [gone] = there as [Digest];
  await store.remove(gone);
  disk.calm();
  await vi.waitFor(() => expect(lost.returned.length).toBe(there.length - 1), 5_000);
  expect(store.get(gone)).toBeUndefined();
  expect(lie(sick).some((digest) => digestHex(digest) === digestHex(gone))).toBe(false);
});

test('with no volume left a store that keeps says so, and a cache goes on from memory', async () => {
  const store = await start();
  for (const path of paths) disk.mood(path, 'EIO');
  await vi.waitFor(() => expect(store.volumes.problems().length).toBe(3), 5_000);
  await expect(upload(store, 'upload-in-vain-00', blobs[0] as (typeof blobs)[0])).rejects.toThrow(
    /nothing can be stored now/,
  );
  disk.calm();
  await stop();
  for (const path of paths) rmSync(path, { recursive: true });
  for (const path of paths) mkdirSync(path);
  const cache = await start({ dir: join(dir, 'cache'), ...agentPromises });
  for (const path of paths) disk.mood(path, 'EIO');
  await vi.waitFor(() => expect(cache.volumes.problems().length).toBe(3), 5_000);
  const small = blobs[0] as (typeof blobs)[0];
  const entry = await cache.create(small.digest, small.meta, small.hashes, small.bytes);
  expect(entry.complete).toBe(true);
  expect(sameBlob(await readAll(workers.arena, entry), small)).toBe(true);
  const large = blobOf(2 * unitBytes, 5);
  const passing = await cache.create(large.digest, large.meta, large.hashes);
  for (let piece = 0; piece < passing.pieces; piece += 1) expect(passing.window?.take(piece)).toBe(true);
  await writeAll(workers.arena, passing, large);
  expect(sameBlob(await readAll(workers.arena, passing), large)).toBe(true);
  cache.passed(passing);
});

test('volumes that are full are named, with what is kept free, and not the data directory, where nothing new goes', async () => {
  const store = await start();
  disk.freeBytes = async (path) => (paths.includes(path) ? 1_000_000 : 1e12);
  await expect(upload(store, 'upload-in-vain-00', blobs[0] as (typeof blobs)[0])).rejects.toMatchObject({
    code: 'STORAGE_FULL',
    message: expect.stringContaining(
      `the disk of ${paths.join(', ')} has 3000000 bytes free, of which 16777216 stay free`,
    ),
  });
  const full = paths.map((path) =>
    expect.stringContaining(`volume ${path} is full: 1000000 bytes of its disk are free`),
  );
  await vi.waitFor(() => expect(store.volumes.warnings()).toEqual(full), 15_000);
  expect(store.volumes.problems()).toEqual([]);
  disk.freeBytes = async () => 1e12;
  await vi.waitFor(() => expect(store.volumes.warnings()).toEqual([]), 15_000);
});
