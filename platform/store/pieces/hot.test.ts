/** Which pieces stay in memory, and for how long; then in a store on the real disk. */

import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Digest, digestOf } from '../../../core/digest.ts';
import { unitBytes } from '../../../core/piece.ts';
import { Arena } from '../../workers/arena.ts';
import { blobFiles, blobOf, damage, fill, readAll, TestStores } from '../store.fixtures.ts';
import { HotPieces, hotBlobBytesMax, hotPiecesMax } from './hot.ts';

const stores = new TestStores();
beforeAll(() => stores.start());
afterEach(() => stores.after());
afterAll(() => stores.stop());

const arena = new Arena(16 * unitBytes);
const bytesEach = 1000;
const named = (no: number): { digest: Digest; meta: { root: string; length: number } } => ({
  digest: digestOf('sha256', no.toString(16).padStart(64, '0')),
  meta: { root: `root of ${no}`, length: bytesEach },
});

/** Reads the blob as an entry does: from memory, else from a disk, after which it is said to have been read. */
function read(hot: HotPieces, no: number): 'memory' | 'disk' {
  const lent = hot.lend(named(no), 0);
  if (lent !== undefined) {
    expect(lent.parts()[0]?.[0]).toBe(no & 0xff);
    lent.release();
    return 'memory';
  }
  const slot = arena.tryAcquire('reader', bytesEach)!;
  fill(slot, new Uint8Array(bytesEach).fill(no & 0xff));
  hot.saw(named(no), 0, slot);
  slot.release();
  return 'disk';
}

test('what is read twice is in memory from then on, and a pass over everything else takes nothing of it', () => {
  const hot = new HotPieces(10 * bytesEach);
  const often = [1, 2, 3, 4, 5];
  for (const no of [...often, ...often]) expect(read(hot, no)).toBe('disk');
  for (const no of often) expect(read(hot, no)).toBe('memory');
  for (let no = 100; no < 5_100; no += 1) expect(read(hot, no)).toBe('disk');
  for (const no of often) expect(read(hot, no)).toBe('memory');
  expect(hot.bytes).toBe(often.length * bytesEach);
});

test('what is read no more gives way, also where everything is read twice, and neither bytes nor pieces pass the bound', () => {
  const hot = new HotPieces(10 * bytesEach);
  for (let no = 0; no < 1_000; no += 1) {
    for (const _ of [1, 2]) read(hot, no);
    // One that is read all the time stays.
    if (no > 0) expect(read(hot, 0)).toBe('memory');
    expect(hot.bytes).toBeLessThanOrEqual(10 * bytesEach);
  }
  expect(read(hot, 999)).toBe('memory');
  expect(read(hot, 500)).toBe('disk');
  const many = new HotPieces(1e9);
  for (let no = 0; no < hotPiecesMax + 100; no += 1) for (const _ of [1, 2]) read(many, no);
  expect(many.count).toBe(hotPiecesMax);
});

test('bytes that somebody has count until they are given back, whatever becomes of the blob, and stay as they were', () => {
  const hot = new HotPieces(2 * bytesEach);
  for (const no of [1, 1, 2, 2]) read(hot, no);
  const one = hot.lend(named(1), 0)!;
  const two = hot.lend(named(2), 0)!;
  hot.forget(named(1).digest);
  expect(hot.lend(named(1), 0)).toBeUndefined();
  for (const no of [3, 3]) read(hot, no);
  expect([hot.bytes, hot.count, read(hot, 3)]).toEqual([2 * bytesEach, 1, 'disk']);
  expect(one.parts()[0]?.every((byte) => byte === 1)).toBe(true);
  one.release();
  expect(() => one.release()).toThrow('twice');
  expect(hot.bytes).toBe(bytesEach);
  read(hot, 3);
  expect([hot.bytes, read(hot, 3)]).toEqual([2 * bytesEach, 'memory']);
  two.release();
});

test('what was read of another list of piece hashes, or of a blob whose list is not known, is not given', () => {
  const hot = new HotPieces(10 * bytesEach);
  for (const no of [1, 1]) read(hot, no);
  expect(hot.lend({ ...named(1), meta: { root: 'another', length: bytesEach } }, 0)).toBeUndefined();
  const slot = arena.tryAcquire('reader', bytesEach)!;
  for (const _ of [1, 2]) hot.saw({ ...named(2), meta: { root: '', length: bytesEach } }, 0, slot);
  for (const _ of [1, 2]) hot.saw({ ...named(3), meta: { root: 'large', length: hotBlobBytesMax + 1 } }, 0, slot);
  slot.release();
  expect(hot.count).toBe(1);
});

test('a store gives small blobs from memory whatever happens to their files, and nothing of what it has removed', async () => {
  const hot = new HotPieces(8 * unitBytes);
  const dir = stores.directory();
  const store = await stores.open(dir, { hot });
  const [small, other, large] = [blobOf(2 * unitBytes + 1, 1), blobOf(unitBytes, 2), blobOf(5 * unitBytes, 3)];
  for (const blob of [small, other, large]) await stores.pull(store, blob);
  const { arena: slots } = stores.workers;
  for (const blob of [small, other, large])
    for (const _ of [1, 2]) expect(await readAll(slots, store.get(blob.digest)!)).toBeDefined();
  expect([hot.count, hot.bytes]).toEqual([4, 3 * unitBytes + 1]);
  const entry = store.get(small.digest)!;
  const file = blobFiles(dir).find((path) => path.includes(small.digest.slice('sha256:'.length)))!;
  damage(file, 9);
  const lent = entry.lend(0, 'reader')!;
  expect(Buffer.compare(Buffer.concat(lent.parts()), small.bytes.subarray(0, unitBytes))).toBe(0);
  lent.release();
  // A look at the disk is one.
  expect(await readAll(slots, entry)).toBeUndefined();
  expect(entry.lend(0, 'reader')).toBeUndefined();
  await store.remove(small.digest);
  expect([hot.count, hot.bytes]).toEqual([1, unitBytes]);
  await store.room.shrink(0);
  expect([hot.count, hot.bytes, store.count]).toEqual([0, 0, 0]);
});
