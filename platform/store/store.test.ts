/** The store on the real disk with real worker threads: pieces, restart, budget, damage. */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Digest } from '../../core/digest.ts';
import { unitBytes } from '../../core/piece.ts';
import { bytesOnDisk } from './layout.ts';
import { originPromises } from './options.ts';
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
  writePiece,
} from './store.fixtures.ts';

const stores = new TestStores();
beforeAll(() => stores.start());
afterEach(() => stores.after());
afterAll(() => stores.stop());

test('pieces come in any order, are kept over a restart, and complete the blob', async () => {
  const dir = stores.directory();
  const blob = blobOf(5 * unitBytes + 9, 1);
  let store = await stores.open(dir);
  let entry = await store.create(blob.digest, blob.meta, blob.hashes);
  for (const piece of [4, 0, 5])
    expect(await writePiece({ arena: stores.workers.arena, entry, blob }, piece)).toBe('held');
  expect(entry.complete).toBe(false);
  expect([...entry.haveBits()]).toEqual([0b110001]);
  await stores.close(store);
  store = await stores.open(dir);
  entry = store.get(blob.digest)!;
  expect([...entry.haveBits()]).toEqual([0b110001]);
  expect(entry.heldCount).toBe(3);
  expect(await store.create(blob.digest, blob.meta, blob.hashes)).toBe(entry);
  for (const piece of [1, 2, 3])
    expect(await writePiece({ arena: stores.workers.arena, entry, blob }, piece)).toBe('held');
  expect(entry.complete).toBe(true);
  expect(await stores.intact(store, blob)).toBe(true);
  await stores.close(store);
  store = await stores.open(dir);
  expect(await stores.intact(store, blob)).toBe(true);
  expect(blobFiles(dir).length).toBe(1);
});

test('a blob of pieces of several units is cut, hashed and read as such', async () => {
  const store = await stores.open(stores.directory());
  const blob = blobOf(9 * unitBytes + 3, 2, { pieceLength: 4 * unitBytes, algorithm: 'sha512' });
  await stores.pull(store, blob);
  expect(await stores.intact(store, blob)).toBe(true);
});

test('a wrong piece is refused and leaves nothing held', async () => {
  const store = await stores.open(stores.directory());
  const blob = blobOf(2 * unitBytes, 3);
  const entry = await store.create(blob.digest, blob.meta, blob.hashes);
  expect(await writePiece({ arena: stores.workers.arena, entry, blob }, 0, blob.bytes.subarray(unitBytes))).toBe(
    'corrupt',
  );
  expect(entry.has(0)).toBe(false);
  const slot = stores.workers.arena.tryAcquire('reader', unitBytes)!;
  expect(await entry.read(0, slot)).toBe('failed');
  expect(entry.failure?.message).toContain('is not held');
  slot.release();
});

test('a blob of zero bytes is complete when it is made, from a peer or by upload', async () => {
  const dir = stores.directory();
  const blob = blobOf(0, 4);
  let store = await stores.open(dir);
  expect((await store.create(blob.digest, blob.meta, blob.hashes)).complete).toBe(true);
  await stores.close(store);
  store = await stores.open(dir);
  expect(await stores.intact(store, blob)).toBe(true);
  await store.remove(blob.digest);
  expect((await upload(store, 'empty', blob)).complete).toBe(true);
});

test('damage on the disk is found, never shown, and repaired by writing the piece again', async () => {
  const dir = stores.directory();
  const blob = blobOf(3 * unitBytes, 5);
  const warnings: object[] = [];
  const log = { info: () => undefined, warn: (fields: object) => warnings.push(fields), error: () => undefined };
  const store = await stores.open(dir, { log });
  await stores.pull(store, blob);
  damage(blobFiles(dir)[0]!, unitBytes + 100);
  const entry = store.get(blob.digest)!;
  const slot = stores.workers.arena.tryAcquire('reader', unitBytes)!;
  expect(await entry.read(0, slot)).toBe('ok');
  expect(await entry.read(1, slot)).toBe('corrupt');
  slot.release();
  expect([entry.complete, entry.has(1), entry.has(2)]).toEqual([false, false, true]);
  expect(warnings).toMatchObject([{ piece: 1 }]);
  expect(await writePiece({ arena: stores.workers.arena, entry, blob }, 1)).toBe('held');
  expect(await stores.intact(store, blob)).toBe(true);
});

test('a file that was cut short loses its last pieces only', async () => {
  const dir = stores.directory();
  const blob = blobOf(3 * unitBytes, 6);
  const store = await stores.open(dir);
  await stores.pull(store, blob);
  truncateSync(blobFiles(dir)[0]!, unitBytes + 5);
  const entry = store.get(blob.digest)!;
  expect(await readAll(stores.workers.arena, entry)).toBeUndefined();
  expect([entry.has(0), entry.has(1)]).toEqual([true, false]);
});

test('have bits that claim too much are found out piece by piece', async () => {
  const dir = stores.directory();
  const blob = blobOf(3 * unitBytes, 7);
  let store = await stores.open(dir);
  const before = await store.create(blob.digest, blob.meta, blob.hashes);
  await writePiece({ arena: stores.workers.arena, entry: before, blob }, 1);
  await stores.close(store);
  writeFileSync(blobFiles(dir).find((file) => file.endsWith('.have'))!, Buffer.from([0b011]));
  store = await stores.open(dir);
  const entry = store.get(blob.digest)!;
  expect(entry.has(0)).toBe(true);
  const slot = stores.workers.arena.tryAcquire('reader', unitBytes)!;
  expect(await entry.read(0, slot)).toBe('corrupt');
  slot.release();
  expect([entry.has(0), entry.has(1)]).toEqual([false, true]);
});

test('a store that keeps checks what it held before a restart, before it trusts it', async () => {
  const dir = stores.directory();
  const blob = blobOf(3 * unitBytes, 8);
  const o = { ...originPromises } as const;
  let store = await stores.open(dir, o);
  const before = await store.create(blob.digest, blob.meta, blob.hashes);
  await writePiece({ arena: stores.workers.arena, entry: before, blob }, 1);
  await stores.close(store);
  writeFileSync(blobFiles(dir).find((file) => file.endsWith('.have'))!, Buffer.from([0b111]));
  store = await stores.open(dir, o);
  expect([...store.get(blob.digest)!.haveBits()]).toEqual([0b010]);
  await writeAll(stores.workers.arena, store.get(blob.digest)!, blob);
  expect(await stores.intact(store, blob)).toBe(true);
});

test('a blob that is given whole is complete at once, in its file alone, and outlives a restart', async () => {
  const dir = stores.directory();
  const [blob, partial] = [blobOf(4096, 20), blobOf(2 * unitBytes, 21)];
  let store = await stores.open(dir);
  expect((await store.create(blob.digest, blob.meta, blob.hashes, blob.bytes)).complete).toBe(true);
  expect(await store.create(blob.digest, blob.meta, blob.hashes, blob.bytes)).toBe(store.get(blob.digest));
  expect(blobFiles(dir).length).toBe(1);
  // Pieces that are here already, or a pull that has begun, are not written over.
  const begun = await store.create(partial.digest, partial.meta, partial.hashes);
  expect(await store.create(partial.digest, partial.meta, partial.hashes, partial.bytes)).toBe(begun);
  expect(begun.heldCount).toBe(0);
  await stores.close(store);
  store = await stores.open(dir);
  expect(await stores.intact(store, blob)).toBe(true);
});

test('a store that keeps does not take a list’s word for the digest', async () => {
  const store = await stores.open(stores.directory(), { ...originPromises });
  const evicted: Digest[] = [];
  store.watch({ evicted: (digest) => evicted.push(digest) });
  const { digest } = blobOf(100, 9);
  const lie = { ...blobOf(100, 10), digest };
  const entry = await store.create(digest, lie.meta, lie.hashes);
  expect(await writePiece({ arena: stores.workers.arena, entry, blob: lie }, 0)).toBe('failed');
  expect(entry.failure?.code).toBe('DIGEST_INVALID');
  expect(store.get(digest)).toBeUndefined();
  expect(evicted).toEqual([digest]);
});

test('a piece that decayed before the last one came is fetched again, and the rest stays', async () => {
  const dir = stores.directory();
  const blob = blobOf(3 * unitBytes, 9);
  const store = await stores.open(dir, { ...originPromises });
  const entry = await store.create(blob.digest, blob.meta, blob.hashes);
  const write = (piece: number): Promise<string> => writePiece({ arena: stores.workers.arena, entry, blob }, piece);
  for (const piece of [0, 1]) expect(await write(piece)).toBe('held');
  const file = blobFiles(dir).find((path) => path.endsWith('.part'))!;
  const bytes = readFileSync(file);
  bytes[unitBytes + 5]! ^= 1;
  writeFileSync(file, bytes);
  expect(await write(2)).toBe('held');
  expect(entry.failure?.code).toBe('UNAVAILABLE');
  expect(store.get(blob.digest)).toBe(entry);
  expect([...entry.haveBits()]).toEqual([0b101]);
  expect(await write(1)).toBe('held');
  expect(entry.complete).toBe(true);
  expect(await stores.intact(store, blob)).toBe(true);
});

test('the least recently used goes first, never what is pinned; the order outlives a restart', async () => {
  const dir = stores.directory();
  const blobs = [11, 12, 13, 14].map((seed) => blobOf(unitBytes, seed));
  const [a, b, c, d] = blobs as [Blob, Blob, Blob, Blob];
  const o = { budgetBytes: 3 * bytesOnDisk(a.meta) + 10 };
  let store = await stores.open(dir, o);
  for (const blob of [a, b, c]) await stores.pull(store, blob);
  store.get(a.digest)!.touch();
  await stores.close(store);
  store = await stores.open(dir, o);
  const evicted: Digest[] = [];
  store.watch({ evicted: (digest) => evicted.push(digest) });
  expect([...store.room.inOrder()]).toEqual([b.digest, c.digest, a.digest]);
  const unpin = store.get(b.digest)!.pin();
  await stores.pull(store, d);
  expect(evicted).toEqual([c.digest]);
  expect(await stores.intact(store, b)).toBe(true);
  expect(store.usedBytes).toBe(3 * bytesOnDisk(a.meta));
  unpin();
  expect(blobFiles(dir).length).toBe(3);
});

test('complete blobs go before idle partial ones; what cannot fit evicts nothing', async () => {
  const dir = stores.directory();
  const [part, whole, next] = [blobOf(unitBytes + 1, 15), blobOf(unitBytes, 16), blobOf(2 * unitBytes, 17)];
  const store = await stores.open(dir, { budgetBytes: 4 * unitBytes });
  await store.create(part.digest, part.meta, part.hashes);
  await stores.pull(store, whole);
  await stores.pull(store, next);
  expect([...store.room.inOrder()]).toEqual([part.digest, next.digest]);
  const unpin = store.get(next.digest)!.pin();
  await stores.pull(store, whole);
  expect([...store.room.inOrder()]).toEqual([next.digest, whole.digest]);
  const large = blobOf(3 * unitBytes, 18);
  expect((await store.create(large.digest, large.meta, large.hashes)).window).toBeDefined();
  expect(await stores.intact(store, next)).toBe(true);
  const huge = blobOf(5 * unitBytes, 19);
  expect((await store.create(huge.digest, huge.meta, huge.hashes)).window).toBeDefined();
  unpin();
  expect(await stores.intact(store, next)).toBe(true);
});

test('a store that keeps evicts nothing complete', async () => {
  const store = await stores.open(stores.directory(), { ...originPromises, budgetBytes: 2 * unitBytes });
  const [kept, more] = [blobOf(unitBytes, 20), blobOf(unitBytes + 1, 21)];
  await upload(store, 'first', kept);
  await expect(upload(store, 'second', more)).rejects.toMatchObject({
    code: 'STORAGE_FULL',
    message: expect.stringContaining('raise the budget'),
  });
  expect(await stores.intact(store, kept)).toBe(true);
  expect(store.usedBytes).toBe(bytesOnDisk(kept.meta));
});

test('what is pinned can be read after it was removed or evicted, and its file is closed after', async () => {
  const dir = stores.directory();
  const blob = blobOf(2 * unitBytes, 22);
  const store = await stores.open(dir);
  await stores.pull(store, blob);
  const entry = store.get(blob.digest)!;
  const unpin = entry.pin();
  await store.remove(blob.digest);
  expect(store.get(blob.digest)).toBeUndefined();
  expect(blobFiles(dir)).toEqual([]);
  expect(sameBlob(await readAll(stores.workers.arena, entry), blob)).toBe(true);
  expect(entry.gone).toBe(true);
  await stores.pull(store, blob);
  expect(sameBlob(await readAll(stores.workers.arena, entry), blob)).toBe(true);
  expect(store.get(blob.digest)).not.toBe(entry);
  unpin();
  unpin();
  await store.remove(blob.digest);
  await store.remove(blob.digest);
  expect(store.usedBytes).toBe(0);
});

test('what is no blob is moved aside; a damaged hash list gives the blob up with an error, not a crash', async () => {
  const dir = stores.directory();
  const [good, bad] = [blobOf(100, 44), blobOf(200, 45)];
  let store = await stores.open(dir);
  await stores.pull(store, good);
  await stores.pull(store, bad);
  await stores.close(store);
  writeFileSync(join(dir, 'blobs', 'sha256', good.digest.slice(7, 9), 'core.1234'), 'x');
  writeFileSync(join(dir, 'blobs', 'sha256', '.DS_Store'), 'x');
  mkdirSync(join(dir, 'blobs', 'sha512', 'old'));
  damage(blobFiles(dir).find((file) => file.includes(bad.digest.slice(7)))!, bad.bytes.length + 1);
  store = await stores.open(dir);
  expect(readdirSync(join(dir, 'quarantine'))).toEqual(['sha256..DS_Store', 'sha256.core.1234', 'sha512.old']);
  expect(await stores.intact(store, good)).toBe(true);
  const entry = store.get(bad.digest)!;
  await expect(entry.listed()).rejects.toThrow('piece-hash list in its file is damaged');
  expect(store.get(bad.digest)).toBeUndefined();
  await stores.pull(store, bad);
  expect(await stores.intact(store, bad)).toBe(true);
});

test('a file that was removed behind our back is forgotten and can come anew', async () => {
  const dir = stores.directory();
  const blob = blobOf(100, 46);
  let store = await stores.open(dir);
  await stores.pull(store, blob);
  await stores.close(store);
  store = await stores.open(dir);
  rmSync(blobFiles(dir)[0]!);
  expect(await readAll(stores.workers.arena, store.get(blob.digest)!)).toBeUndefined();
  expect(store.get(blob.digest)).toBeUndefined();
  await stores.pull(store, blob);
  expect(await stores.intact(store, blob)).toBe(true);
});

test('more blobs than descriptors, and more lists than are kept in memory', async () => {
  const dir = stores.directory();
  const store = await stores.open(dir);
  const blobs = Array.from({ length: 600 }, (_, i) => blobOf(10 + i, 1000 + i));
  for (const blob of blobs) await stores.pull(store, blob);
  const mine = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return statSync(`/proc/self/fd/${fd}`).isFile();
    } catch {
      return false;
    }
  });
  expect(mine.length).toBeLessThan(560);
  for (const blob of blobs) expect(await stores.intact(store, blob)).toBe(true);
  expect(existsSync(join(dir, 'contents'))).toBe(false);
  await store.flush();
  expect(statSync(join(dir, 'contents')).size).toBeGreaterThan(600 * 32);
});

test('pieces that do not fit the arena are refused before anything is written', async () => {
  const store = await stores.open(stores.directory());
  const blob = blobOf(40 * unitBytes, 50, { pieceLength: 64 * unitBytes });
  await expect(store.create(blob.digest, blob.meta, blob.hashes)).rejects.toThrow('raise memory.arena');
  expect(store.usedBytes).toBe(0);
});
