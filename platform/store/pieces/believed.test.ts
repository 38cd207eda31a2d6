/** What happens to a blob's file behind the store's back: a push brings it back, and "it is here" is never a lie. */

import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { pieceBytes, unitBytes } from '../../../core/piece.ts';
import { prng } from '../../../core/prng.ts';
import { Arena } from '../../workers/arena.ts';
import { FaultyDisk, faultyRoot } from '../disk/faulty-disk.ts';
import { RealDisk } from '../disk/real-disk.ts';
import { bytesOnDisk } from '../layout.ts';
import { originPromises } from '../options.ts';
import type { StoreLog } from '../recover.ts';
import {
  type Blob,
  blobFiles,
  blobOf,
  damage,
  readAll,
  sameBlob,
  TestStores,
  upload,
  writeAll,
} from '../store.fixtures.ts';
import { BlobStore } from '../store.ts';
import { sampleMs } from './believed.ts';
import { InlinePieceIo } from './inline-piece-io.ts';

const stores = new TestStores();
beforeAll(() => stores.start());
afterEach(() => stores.after());
afterAll(() => stores.stop());

const origin = { ...originPromises } as const;
const blob = blobOf(9 * unitBytes + 77, 600);

/** Of the whole file: its first `bytes`, the rest zeros. */
function zeros(path: string, from: number, to = statSync(path).size): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.alloc(to - from), 0, to - from, from);
  closeSync(fd);
}

const accidents: Record<string, (path: string) => void> = {
  'cut to nothing': (path) => truncateSync(path, 0),
  'cut in the middle': (path) => truncateSync(path, 5 * unitBytes + 1),
  'cut before its list': (path) => truncateSync(path, blob.meta.length),
  removed: (path) => rmSync(path),
  'made zeros of the right size': (path) => zeros(path, 0, blob.meta.length),
  'made a hole of the right size, list and all': (path) => {
    const { size } = statSync(path);
    const fd = openSync(path, 'r+');
    ftruncateSync(fd, 0);
    ftruncateSync(fd, size);
    closeSync(fd);
  },
  'replaced by another file of that name': (path) => {
    writeFileSync(`${path}.other`, Buffer.alloc(statSync(path).size));
    renameSync(`${path}.other`, path);
  },
};
const all = Object.entries(accidents);
const wrongList = (path: string): void => damage(path, blob.meta.length + 40);
const oneBit = (path: string): void => damage(path, 4 * unitBytes);

async function stored(dir: string, of: Blob = blob): Promise<{ store: BlobStore; path: string }> {
  const store = await stores.open(dir, origin);
  await upload(store, 'first', of);
  return { store, path: blobFiles(dir)[0] as string };
}

async function wholeOnDisk(store: BlobStore, path: string): Promise<boolean> {
  if (!(await stores.intact(store, blob))) return false;
  return Buffer.compare(readFileSync(path), Buffer.concat([blob.bytes, blob.hashes])) === 0;
}

test.each([...all, ['one bit wrong', oneBit], ['given a wrong list', wrongList]] as const)(
  'a file that was %s is whole once its blob is pushed again, before anybody read it',
  async (_, accident) => {
    const dir = stores.directory();
    const { store, path } = await stored(dir);
    accident(path);
    await upload(store, 'again', blob);
    expect(await wholeOnDisk(store, path)).toBe(true);
    expect(blobFiles(dir)).toEqual([path]);
    await stores.close(store);
    expect(await wholeOnDisk(await stores.open(dir, origin), path)).toBe(true);
  },
);

test.each(all)('a file that was %s is not said to be here, and a push mends it', async (_, accident) => {
  const dir = stores.directory();
  const { store, path } = await stored(dir);
  expect(await store.whole(blob.digest, 'sample')).toBe(store.get(blob.digest));
  accident(path);
  expect(await store.whole(blob.digest, 'sample')).toBeUndefined();
  expect(store.get(blob.digest)?.complete ?? false).toBe(false);
  await upload(store, 'again', blob);
  expect(await store.whole(blob.digest, 'sample')).toBe(store.get(blob.digest));
  expect(await wholeOnDisk(store, path)).toBe(true);
});

test('a store without room takes the push that mends a damaged blob, and nothing more', async () => {
  const dir = stores.directory();
  const other = blobOf(9 * unitBytes, 601);
  const store = await stores.open(dir, { ...origin, budgetBytes: bytesOnDisk(blob.meta) + 4 * unitBytes });
  await upload(store, 'first', blob);
  await expect(upload(store, 'no-room', other)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  const [path = ''] = blobFiles(dir);
  zeros(path, 0);
  expect(await store.whole(blob.digest, 'sample')).toBeUndefined();
  await upload(store, 'again', blob);
  expect(await wholeOnDisk(store, path)).toBe(true);
  expect(store.usedBytes).toBe(bytesOnDisk(blob.meta));
  await expect(upload(store, 'no-room-yet', other)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
});

test('a list that was damaged on the disk is written again, from memory or from the bytes', async () => {
  const dir = stores.directory();
  const first = await stored(dir);
  wrongList(first.path);
  expect(await first.store.whole(blob.digest, 'sample')).toBe(first.store.get(blob.digest));
  expect(await wholeOnDisk(first.store, first.path)).toBe(true);
  wrongList(first.path);
  await stores.close(first.store);
  const store = await stores.open(dir, origin);
  expect(await store.whole(blob.digest, 'sample')).toBe(store.get(blob.digest));
  expect(await wholeOnDisk(store, first.path)).toBe(true);
});

test('where bytes are wrong as well as the list, the blob is not here, and a push mends it', async () => {
  const dir = stores.directory();
  const first = await stored(dir);
  await stores.close(first.store);
  wrongList(first.path);
  damage(first.path, 3 * unitBytes);
  const store = await stores.open(dir, origin);
  expect(await store.whole(blob.digest, 'sample')).toBeUndefined();
  await upload(store, 'again', blob);
  expect(await wholeOnDisk(store, first.path)).toBe(true);
});

test('a blob whose list turned out damaged in use is told of, and made whole from its own bytes', async () => {
  const dir = stores.directory();
  const first = await stored(dir);
  await stores.close(first.store);
  wrongList(first.path);
  const store = await stores.open(dir, origin);
  const told: unknown[] = [];
  store.watch({ missing: (digest) => told.push(digest) });
  const entry = store.get(blob.digest)!;
  await expect(entry.listed()).rejects.toThrow('the piece-hash list in its file is damaged');
  expect([told, entry.complete]).toEqual([[blob.digest], false]);
  expect(await store.restore(entry)).toBe(true);
  expect(await wholeOnDisk(store, first.path)).toBe(true);
});

test('a mending whose last step the disk refused is finished at the next try', async () => {
  const dir = stores.directory();
  const first = await stored(dir);
  await stores.close(first.store);
  wrongList(first.path);
  const disk = new RealDisk();
  const sync = disk.sync.bind(disk);
  const store = await stores.open(dir, { ...origin, disk });
  const entry = store.get(blob.digest)!;
  await expect(entry.listed()).rejects.toThrow('damaged');
  disk.sync = () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }));
  expect(await store.restore(entry)).toBe(false);
  expect(entry.heldCount).toBe(entry.pieces);
  disk.sync = sync;
  expect(await store.restore(entry)).toBe(true);
  expect(await wholeOnDisk(store, first.path)).toBe(true);
});

test.each(all.slice(0, 4))('a file that was %s is missed without a byte of it being read', async (_, accident) => {
  const { store, path } = await stored(stores.directory());
  accident(path);
  expect(await store.whole(blob.digest, 'size')).toBeUndefined();
});

test.each(all.slice(0, 3))(
  'a start finds a file that was %s, says so, and peers bring it back',
  async (_, accident) => {
    const dir = stores.directory();
    const before = await stored(dir);
    await stores.close(before.store);
    accident(before.path);
    const lines: [object, string][] = [];
    const store = await stores.open(dir, { ...origin, log: logTo(lines) });
    const named = lines.filter(([, text]) => text.includes('too short: it counts as damaged'));
    expect(named).toMatchObject([[{ digest: blob.digest, bytes: statSync(before.path).size }, expect.anything()]]);
    expect(store.get(blob.digest)?.complete).toBe(false);
    expect(await store.whole(blob.digest, 'size')).toBeUndefined();
    await stores.pull(store, blob);
    expect(await wholeOnDisk(store, before.path)).toBe(true);
    expect(lines.filter(([, text]) => text === 'a damaged blob is whole again')).toHaveLength(1);
  },
);

test('a start names the blobs that are gone, a few of them one by one', async () => {
  const dir = stores.directory();
  let store = await stores.open(dir, origin);
  const blobs = Array.from({ length: 25 }, (_, i) => blobOf(100, 700 + i));
  for (const [i, one] of blobs.entries()) await upload(store, `up-${i}`, one);
  await store.remove((blobs[24] as Blob).digest);
  await stores.close(store);
  for (const path of blobFiles(dir).slice(0, 22)) rmSync(path);
  const lines: [object, string][] = [];
  store = await stores.open(dir, { ...origin, log: logTo(lines) });
  expect(store.missing).toHaveLength(22);
  expect(lines.filter(([, text]) => text.includes('has no file any more'))).toHaveLength(20);
  expect(lines.find(([, text]) => text === 'more blobs have no file any more')?.[0]).toEqual({ more: 2 });
});

test('a cache removes a file that is too short at its start', async () => {
  const dir = stores.directory();
  let store = await stores.open(dir);
  await stores.pull(store, blob);
  await stores.close(store);
  truncateSync(blobFiles(dir)[0] as string, 1_000);
  store = await stores.open(dir);
  expect([store.count, blobFiles(dir), store.usedBytes]).toEqual([0, [], 0]);
});

test('whoever reads while a push replaces a damaged file gets the right bytes to the end', async () => {
  const { store, path } = await stored(stores.directory());
  const entry = store.get(blob.digest)!;
  const { arena } = stores.workers;
  damage(path, 8 * unitBytes);
  const unpin = entry.pin();
  const read = async (piece: number): Promise<Uint8Array | string> => {
    const slot = await arena.acquire('reader', pieceBytes(blob.meta, piece));
    const verdict = await entry.read(piece, slot);
    const bytes = Buffer.concat(slot.parts());
    slot.release();
    return verdict === 'ok' ? bytes : verdict;
  };
  for (let piece = 0; piece < 5; piece += 1)
    expect(await read(piece)).toEqual(Buffer.from(blob.bytes.subarray(piece * unitBytes, (piece + 1) * unitBytes)));
  const reads = [read(8), upload(store, 'again', blob), read(8), read(7)];
  await Promise.all(reads);
  expect(await read(8)).toEqual(Buffer.from(blob.bytes.subarray(8 * unitBytes, 9 * unitBytes)));
  expect(entry.complete).toBe(true);
  unpin();
  expect(sameBlob(await readAll(arena, entry), blob)).toBe(true);
});

test('a storm of questions costs one sample; asked again and again they look at every piece', async () => {
  const disk = new FaultyDisk({ prng: prng(1) });
  const arena = new Arena(64 * unitBytes);
  const reads = new Map<number, number>();
  const io = new (class extends InlinePieceIo {
    override async readVerify(job: Parameters<InlinePieceIo['readVerify']>[0]) {
      const piece = job.position / blob.meta.pieceLength;
      reads.set(piece, (reads.get(piece) ?? 0) + 1);
      return await super.readVerify(job);
    }
  })(arena, disk);
  const now = vi.spyOn(performance, 'now');
  let nowMs = 1_000;
  now.mockImplementation(() => nowMs);
  try {
    await using store = await BlobStore.open({
      dir: `${faultyRoot}/data`,
      workers: io,
      budgetBytes: 1e9,
      disk,
      flushEveryMs: 0,
      ...origin,
    });
    await upload(store, 'first', blob);
    const storm = await Promise.all(Array.from({ length: 200 }, () => store.whole(blob.digest, 'sample')));
    expect(new Set(storm)).toEqual(new Set([store.get(blob.digest)]));
    expect([...reads.values()].reduce((sum, n) => sum + n, 0)).toBe(4);
    for (let i = 0; i < 12; i += 1) {
      nowMs += sampleMs + 1;
      expect(await store.whole(blob.digest, 'sample')).toBeDefined();
    }
    expect(reads.size).toBe(10);
  } finally {
    now.mockRestore();
  }
});

test('a disk that refuses to say is no blob that is missing', async () => {
  const disk = new FaultyDisk({ prng: prng(1) });
  const arena = new Arena(64 * unitBytes);
  const at = { dir: `${faultyRoot}/data`, workers: new InlinePieceIo(arena, disk), disk, flushEveryMs: 0 } as const;
  await using store = await BlobStore.open({ ...at, budgetBytes: 1e9, ...origin });
  await upload(store, 'first', blob);
  disk.plan = (_, action) => (action === 'stat' ? { kind: 'fail', code: 'EIO' } : undefined);
  await expect(store.whole(blob.digest, 'size')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  disk.plan = undefined;
  expect(await store.whole(blob.digest, 'sample')).toBeDefined();
});

test('a damaged blob that is pulled before its list came is mended in place, where a crash loses nothing of it', async () => {
  const dir = stores.directory();
  const before = await stored(dir);
  await stores.close(before.store);
  truncateSync(before.path, 6 * unitBytes);
  const store = await stores.open(dir, origin);
  const entry = await store.create(blob.digest, blob.meta, blob.hashes);
  expect(entry.unread).toEqual([0, 1, 2, 3, 4, 5]);
  const slot = await stores.workers.arena.acquire('reader', unitBytes);
  expect(await entry.reread(3, slot)).toBe(true);
  slot.release();
  await writeAll(stores.workers.arena, entry, blob);
  expect(await wholeOnDisk(store, before.path)).toBe(true);
});

function logTo(lines: [object, string][]): StoreLog {
  const line = (fields: object, text: string): void => void lines.push([fields, text]);
  return { info: line, warn: line, error: line };
}
