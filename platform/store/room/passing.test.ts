/** Blobs without room: what their windows take of the budget and beyond it, whose turn it is, and that no byte is another's. */

import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { pieceBytes, unitBytes } from '../../../core/piece.ts';
import { bytesOnDisk } from '../layout.ts';
import { originPromises } from '../options.ts';
import type { BlobEntry } from '../pieces/entry.ts';
import { type Blob, blobOf, readAll, sameBlob, TestStores, upload, writePiece } from '../store.fixtures.ts';
import type { BlobStore } from '../store.ts';
import { beyondBudgetBytesMax, windowBytesMin, windowPiecesMin } from './passing.ts';
import { smallBeyondBytesMax } from './room.ts';
import { Window } from './window.ts';

const MiB = 1024 * 1024;
const stores = new TestStores();
beforeAll(() => stores.start());
afterEach(() => stores.after());
afterAll(() => stores.stop());

async function create(store: BlobStore, blob: Blob): Promise<BlobEntry> {
  const entry = await store.create(blob.digest, blob.meta, blob.hashes);
  // The window widens in a moment, where there is room.
  await new Promise((resolve) => setTimeout(resolve, 20));
  return entry;
}

const capacityOf = (entry: BlobEntry): number => entry.window?.capacity ?? -1;

/** The piece as the entry gives it. */
async function piece(entry: BlobEntry, no: number): Promise<Buffer | string> {
  const slot = await stores.workers.arena.acquire('reader', pieceBytes(entry.meta, no));
  try {
    const verdict = await entry.read(no, slot);
    return verdict === 'ok' ? Buffer.concat(slot.parts()) : verdict;
  } finally {
    slot.release();
  }
}

test('every piece of a blob larger than the budget passes through a few places, each byte right', async () => {
  const dir = stores.directory();
  const store = await stores.open(dir, { budgetBytes: 2 * MiB });
  const blob = blobOf(40 * unitBytes + 5, 1);
  const entry = await create(store, blob);
  const { arena } = stores.workers;
  const places = capacityOf(entry);
  expect(places).toBeGreaterThanOrEqual(windowPiecesMin);
  expect(places).toBeLessThan(entry.pieces);
  for (let no = 0; no < entry.pieces; no += 1) {
    if (no >= places) entry.giveUp(no - places);
    expect(entry.window?.take(no)).toBe(true);
    expect(await writePiece({ arena, entry, blob }, no)).toBe('held');
    expect(entry.heldCount).toBeLessThanOrEqual(places);
    for (const held of [Math.max(0, no - places + 1), no]) {
      const at = held * blob.meta.pieceLength;
      const bytes = await piece(entry, held);
      expect(Buffer.compare(bytes as Buffer, blob.bytes.subarray(at, at + pieceBytes(blob.meta, held)))).toBe(0);
    }
  }
  expect(entry.complete).toBe(false);
  expect(await piece(entry, 0)).toBe('failed');
  expect(readdirSync(join(dir, 'uploads'))).toEqual([]);
  store.passed(entry);
  expect([store.get(blob.digest), store.usedBytes, store.passing.bytes]).toEqual([undefined, 0, 0]);
});

test('a piece without a place is not wanted, and a wrong one is refused', async () => {
  const store = await stores.open(stores.directory(), { budgetBytes: 2 * MiB });
  const blob = blobOf(40 * unitBytes, 2);
  const entry = await create(store, blob);
  const { arena } = stores.workers;
  expect(await writePiece({ arena, entry, blob }, 3)).toBe('unwanted');
  entry.window?.take(3);
  expect(await writePiece({ arena, entry, blob }, 3, new Uint8Array(unitBytes))).toBe('corrupt');
  const writing = writePiece({ arena, entry, blob }, 3);
  await new Promise((resolve) => setImmediate(resolve));
  entry.giveUp(3);
  expect(await writing).toBe('unwanted');
  expect([entry.has(3), entry.heldCount]).toEqual([false, 0]);
});

test('a place is not given to another piece while it is read', () => {
  const window = new Window({ path: '', unlinked: true });
  let room = 0;
  window.grow(1);
  window.onRoom = () => (room += 1);
  expect(window.take(7)).toBe(true);
  const [first, second] = [window.use(7), window.use(7)];
  window.giveUp(7);
  expect([window.take(8), window.use(7)]).toEqual([false, undefined]);
  first?.();
  expect([window.take(8), room]).toEqual([false, 0]);
  second?.();
  expect([window.take(8), room]).toEqual([true, 1]);
});

describe('the budget', () => {
  test('what is kept and fits is not evicted for a window, beyond a part of the budget', async () => {
    const store = await stores.open(stores.directory(), { budgetBytes: 64 * MiB });
    const kept = Array.from({ length: 15 }, (_, i) => blobOf(4 * MiB, 10 + i));
    for (const blob of kept) await upload(store, `kept-${blob.meta.root.slice(0, 8)}`, blob);
    const entry = await create(store, blobOf(65 * MiB, 30));
    expect(store.usedBytes).toBeLessThanOrEqual(64 * MiB);
    expect(capacityOf(entry) * unitBytes).toBeLessThanOrEqual(20 * MiB);
    const left = kept.filter(({ digest }) => store.get(digest) !== undefined);
    expect(left.length).toBeGreaterThanOrEqual(11);
    // Those used last.
    expect(left).toEqual(kept.slice(-left.length));
  });

  test('windows of several pulls together leave what is kept alone, beyond that part of the budget', async () => {
    const store = await stores.open(stores.directory(), { budgetBytes: 64 * MiB });
    const kept = blobOf(40 * MiB, 34);
    await upload(store, 'kept', kept);
    const entries: BlobEntry[] = [];
    for (let i = 0; i < 4; i += 1) entries.push(await create(store, blobOf(65 * MiB + i * unitBytes, 35 + i)));
    expect(store.get(kept.digest)?.complete).toBe(true);
    expect(store.usedBytes - bytesOnDisk(kept.meta)).toBeLessThanOrEqual(16 * MiB);
    expect(Math.min(...entries.map(capacityOf)) * unitBytes).toBeGreaterThanOrEqual(windowBytesMin);
  });

  test('nothing is evicted for a blob that would not fit even then', async () => {
    const store = await stores.open(stores.directory(), { budgetBytes: 16 * MiB });
    const [used, idle] = [blobOf(8 * MiB, 31), blobOf(7 * MiB, 32)];
    await upload(store, 'used', used);
    const unpin = store.get(used.digest)?.pin();
    await upload(store, 'idle', idle);
    const entry = await create(store, blobOf(12 * MiB, 33));
    expect(entry.window).toBeDefined();
    expect(store.get(idle.digest)?.complete).toBe(true);
    unpin?.();
  });

  test('where it is all in use, a bounded number of pulls go on beyond it and others have their turn after', async () => {
    const store = await stores.open(stores.directory(), { budgetBytes: 2 * MiB });
    const used = blobOf(2 * MiB - 1024, 40);
    await upload(store, 'used', used);
    const unpin = store.get(used.digest)?.pin();
    const turns = beyondBudgetBytesMax / windowBytesMin;
    const entries: BlobEntry[] = [];
    for (let i = 0; i < turns + 2; i += 1) entries.push(await create(store, blobOf(5 * MiB, 50 + i)));
    expect(entries.slice(0, turns).map(capacityOf)).toEqual(Array(turns).fill(windowBytesMin / unitBytes));
    expect([entries.slice(turns).map(capacityOf), store.passing.waiting]).toEqual([[0, 0], true]);
    expect(store.passing.bytes).toBe(beyondBudgetBytesMax);
    store.passed(entries[3] as BlobEntry);
    expect(entries.slice(turns).map(capacityOf)).toEqual([windowBytesMin / unitBytes, 0]);
    store.passed(entries[5] as BlobEntry);
    expect([capacityOf(entries.at(-1) as BlobEntry), store.passing.waiting]).toEqual([
      windowBytesMin / unitBytes,
      false,
    ]);
    expect(store.usedBytes).toBe(bytesOnDisk(used.meta));
    unpin?.();
  });

  test('a window widens when there is room for it', async () => {
    const store = await stores.open(stores.directory(), { budgetBytes: 32 * MiB });
    const used = blobOf(31 * MiB, 41);
    await upload(store, 'used', used);
    const unpin = store.get(used.digest)?.pin();
    const entry = await create(store, blobOf(40 * MiB, 42));
    const before = capacityOf(entry);
    unpin?.();
    // As a node does again and again: what was in use a moment ago may not go yet.
    await vi.waitFor(async () => {
      await store.passing.grow(entry);
      expect(capacityOf(entry)).toBeGreaterThan(before);
    });
    expect(capacityOf(entry) * unitBytes).toBeLessThanOrEqual(8 * MiB);
  });

  test('blobs of one piece come in all the same, a bounded number of them, and go first', async () => {
    const store = await stores.open(stores.directory(), { budgetBytes: 2 * MiB });
    const used = blobOf(2 * MiB - 1024, 43);
    await upload(store, 'used', used);
    const unpin = store.get(used.digest)?.pin();
    const [small, next] = [blobOf(9_000, 44), blobOf(unitBytes, 45)];
    await store.create(small.digest, small.meta, small.hashes, small.bytes);
    expect(await stores.intact(store, small)).toBe(true);
    await stores.pull(store, next);
    expect(await stores.intact(store, next)).toBe(true);
    expect(store.get(small.digest)).toBeUndefined();
    unpin?.();
    const most = smallBeyondBytesMax / unitBytes;
    const pins = [unpin];
    const entries: BlobEntry[] = [];
    for (let i = 0; i < most + 10; i += 1) {
      const blob = blobOf(unitBytes, 100 + i);
      const entry = await store.create(blob.digest, blob.meta, blob.hashes);
      entries.push(entry);
      pins.push(entry.pin());
    }
    expect(store.usedBytes).toBeLessThanOrEqual(2 * MiB + smallBeyondBytesMax);
    expect(entries.at(-1)?.window).toBeDefined();
    for (const free of pins) free?.();
  });

  test('a store that keeps takes nothing that it cannot keep', async () => {
    const store = await stores.open(stores.directory(), { ...originPromises, budgetBytes: 2 * MiB });
    for (const blob of [blobOf(3 * MiB, 46), blobOf(2 * MiB, 47)])
      await expect(store.create(blob.digest, blob.meta, blob.hashes)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    expect([...store.blobs()]).toEqual([]);
  });
});

test('whoever reads a piece when its pull ends gets it, and the file is closed after', async () => {
  const store = await stores.open(stores.directory(), { budgetBytes: 2 * MiB });
  const blob = blobOf(12 * unitBytes, 48);
  const entry = await create(store, blob);
  entry.window?.take(5);
  await writePiece({ arena: stores.workers.arena, entry, blob }, 5);
  const unpin = entry.pin();
  await store.remove(blob.digest);
  expect([entry.gone, store.get(blob.digest)]).toEqual([true, undefined]);
  expect(((await piece(entry, 5)) as Buffer).length).toBe(unitBytes);
  unpin();
  await new Promise((resolve) => setImmediate(resolve));
  expect(await piece(entry, 5)).toBe('failed');
});

test('a blob that there is room for later is kept when it is asked for again', async () => {
  const store = await stores.open(stores.directory(), { budgetBytes: 4 * MiB });
  const [used, blob] = [blobOf(3 * MiB, 60), blobOf(2 * MiB, 61)];
  await upload(store, 'used', used);
  const unpin = store.get(used.digest)?.pin();
  const passing = await create(store, blob);
  expect(await store.create(blob.digest, blob.meta, blob.hashes)).toBe(passing);
  unpin?.();
  store.passed(passing);
  const kept = await store.create(blob.digest, blob.meta, blob.hashes);
  expect(kept.window).toBeUndefined();
  await stores.pull(store, blob);
  expect(sameBlob(await readAll(stores.workers.arena, kept), blob)).toBe(true);
});

test('a start removes what a crash left between making a file and taking its name away', async () => {
  const dir = stores.directory();
  await stores.close(await stores.open(dir));
  mkdirSync(join(dir, 'uploads'), { recursive: true });
  writeFileSync(join(dir, 'uploads', 'passing-3'), 'x');
  const store = await stores.open(dir);
  expect(readdirSync(join(dir, 'uploads'))).toEqual([]);
  expect([...store.blobs()]).toEqual([]);
});
