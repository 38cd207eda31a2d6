/** Blobs that grow, on the real disk with real worker threads: read while they come, then ordinary, or gone. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Growth, growthValid, hashBytes, metainfoValid, unitBytes } from '../../../core/piece.ts';
import { blake3Hex } from '../../workers/hash.ts';
import { RealDisk } from '../disk/real-disk.ts';
import { bytesOnDisk } from '../layout.ts';
import { originPromises } from '../options.ts';
import type { BlobEntry } from '../pieces/entry.ts';
import {
  type Blob,
  blobFiles,
  blobOf,
  damage,
  fill,
  readAll,
  sameBlob,
  TestStores,
  upload,
  writePiece,
} from '../store.fixtures.ts';
import type { BlobStore } from '../store.ts';
import { GrowingEntry } from './entry.ts';
import type { Writing } from './writing.ts';

const stores = new TestStores();
beforeAll(() => stores.start());
afterEach(() => stores.after());
afterAll(() => stores.stop());

const origin = (dir = stores.directory()): Promise<BlobStore> => stores.open(dir, { ...originPromises });
const growthOf = (blob: Blob, known: number): { growth: Growth; hashes: Uint8Array } => {
  const { length, pieceLength } = blob.meta;
  const hashes = blob.hashes.slice(0, known * hashBytes);
  return { growth: { length, pieceLength, known, root: blake3Hex(hashes) }, hashes };
};

async function feed(writing: Writing, blob: Blob, to: number): Promise<void> {
  const step = 77_777;
  while (writing.offset < to) {
    const at = writing.offset;
    await writing.append(blob.bytes.subarray(at, Math.min(at + step, to)));
  }
}

/** Waits until what was appended is written. */
async function known(entry: GrowingEntry, pieces: number): Promise<void> {
  while (entry.known < pieces) await new Promise(setImmediate);
}

async function read(entry: BlobEntry, blob: Blob, piece: number): Promise<'right' | string> {
  const { pieceLength, length } = blob.meta;
  const bytes = blob.bytes.subarray(piece * pieceLength, Math.min(length, (piece + 1) * pieceLength));
  const slot = await stores.workers.arena.acquire('reader', bytes.length);
  try {
    const verdict = await entry.read(piece, slot);
    return verdict === 'ok' ? (Buffer.compare(Buffer.concat(slot.parts()), bytes) === 0 ? 'right' : 'WRONG') : verdict;
  } finally {
    slot.release();
  }
}

describe('at who receives it', () => {
  test('pieces are read and lent as they come, the last one only with the digest; then it is an ordinary blob', async () => {
    for (const [i, shape] of [
      [5 * unitBytes + 99, unitBytes],
      [1, unitBytes],
      [3 * unitBytes, unitBytes],
    ].entries()) {
      const dir = stores.directory();
      const store = await origin(dir);
      const blob = blobOf(shape[0]!, 70 + i);
      const writing = await store.growing.begin(blob.digest, blob.bytes.length);
      const { entry } = writing;
      expect([writing.resumeAt, store.get(blob.digest), store.usedBytes]).toEqual([0, entry, bytesOnDisk(blob.meta)]);
      const grown: number[] = [];
      entry.onGrown = () => grown.push(entry.known);
      for (let piece = 0; piece < entry.pieces - 1; piece += 1) {
        await feed(writing, blob, (piece + 1) * unitBytes);
        await known(entry, piece + 1);
        expect(entry.growth).toEqual(growthOf(blob, piece + 1).growth);
        expect(growthValid(entry.growth as Growth)).toBe(true);
        expect([entry.has(piece), entry.has(piece + 1), entry.complete, metainfoValid(entry.meta)]).toEqual([
          true,
          false,
          false,
          false,
        ]);
        entry.lend(piece, 'send')?.release();
        expect(await read(entry, blob, piece)).toBe('right');
      }
      await feed(writing, blob, blob.bytes.length);
      expect([entry.known, entry.has(entry.pieces - 1)]).toEqual([entry.pieces - 1, false]);
      expect(await writing.finish()).toBe(entry);
      expect(grown).toEqual(Array.from({ length: entry.pieces }, (_, at) => at + 1));
      expect([entry.meta, entry.growth, entry.complete]).toEqual([blob.meta, undefined, true]);
      expect(await stores.intact(store, blob)).toBe(true);
      const path = blobFiles(dir)[0]!;
      expect(Buffer.compare(readFileSync(path), Buffer.concat([blob.bytes, blob.hashes]))).toBe(0);
      expect([readdirSync(join(dir, 'uploads')), store.usedBytes]).toEqual([[], bytesOnDisk(blob.meta)]);
      await stores.close(store);
      expect(await stores.intact(await origin(dir), blob)).toBe(true);
    }
  });

  test('pieces longer than a slot have the hashes of an upload', async () => {
    const disk = Object.assign(new RealDisk(), { freeBytes: async () => 1e12 });
    const store = await stores.open(stores.directory(), { ...originPromises, budgetBytes: 1e12, disk });
    const blob = blobOf(20 * unitBytes + 5, 75, { pieceLength: 8 * unitBytes });
    // The piece length is what an origin draws from the length: here of a blob of 4 GiB, of which little comes.
    const { digest } = blob;
    const writing = await store.growing.begin(digest, 2048 * 8 * unitBytes);
    expect(writing.entry.meta.pieceLength).toBe(8 * unitBytes);
    await feed(writing, blob, blob.bytes.length);
    await known(writing.entry, 2);
    expect(Buffer.compare(writing.entry.hashes, blob.hashes.subarray(0, 2 * hashBytes))).toBe(0);
    expect(await read(writing.entry, blob, 1)).toBe('right');
    await writing.abort();
    expect(store.usedBytes).toBe(0);
  });

  test('bytes that are not the digest revoke it: who has it open reads no further, nothing is kept', async () => {
    const dir = stores.directory();
    const store = await origin(dir);
    const told: string[] = [];
    store.watch({
      revoked: (digest, { code }) => told.push(`revoked ${digest} ${code}`),
      evicted: (digest) => told.push(`evicted ${digest}`),
    });
    const blob = blobOf(4 * unitBytes, 76);
    const { digest } = blobOf(4 * unitBytes, 77);
    const writing = await store.growing.begin(digest, blob.bytes.length);
    const { entry } = writing;
    const unpin = entry.pin();
    await feed(writing, blob, blob.bytes.length);
    await known(entry, 3);
    expect(await read(entry, blob, 0)).toBe('right');
    await expect(writing.finish()).rejects.toMatchObject({ code: 'DIGEST_INVALID' });
    expect(told).toEqual([`revoked ${digest} DIGEST_INVALID`, `evicted ${digest}`]);
    expect(await read(entry, blob, 0)).toBe('failed');
    expect([entry.failure?.code, entry.revoked?.code, entry.heldCount]).toEqual([
      'DIGEST_INVALID',
      'DIGEST_INVALID',
      0,
    ]);
    expect(entry.lend(0, 'send')).toBeUndefined();
    unpin();
    expect([store.get(digest), store.usedBytes, readdirSync(join(dir, 'uploads'))]).toEqual([undefined, 0, []]);
    await writing.abort();
    // The same digest can come anew.
    await (await store.growing.begin(digest, 10)).abort();
  });

  test('too many or too few bytes are named, and nothing of them is kept', async () => {
    const store = await origin();
    const blob = blobOf(3 * unitBytes, 78);
    const long = await store.growing.begin(blob.digest, 2 * unitBytes);
    await feed(long, blob, 2 * unitBytes);
    await expect(long.append(new Uint8Array(1))).rejects.toMatchObject({ code: 'SIZE_INVALID' });
    await long.abort();
    const short = await store.growing.begin(blob.digest, 4 * unitBytes);
    await expect(store.growing.begin(blob.digest, 4 * unitBytes)).rejects.toMatchObject({
      code: 'BLOB_UPLOAD_INVALID',
    });
    await feed(short, blob, 3 * unitBytes);
    await expect(short.finish()).rejects.toMatchObject({ code: 'SIZE_INVALID' });
    expect([store.get(blob.digest), store.usedBytes]).toEqual([undefined, 0]);
  });

  test('a push of the same blob is as good: readers go on, and what still comes is not needed', async () => {
    const dir = stores.directory();
    const store = await origin(dir);
    const blob = blobOf(5 * unitBytes + 1, 79);
    const writing = await store.growing.begin(blob.digest, blob.bytes.length);
    await feed(writing, blob, 2 * unitBytes);
    const { entry } = writing;
    expect(await upload(store, 'push', blob)).toBe(entry);
    expect([entry.complete, entry.growth, writing.needed]).toEqual([true, undefined, false]);
    await writing.append(new Uint8Array(10));
    expect(await writing.finish()).toBe(entry);
    expect(await stores.intact(store, blob)).toBe(true);
    expect([blobFiles(dir).length, readdirSync(join(dir, 'uploads')), store.usedBytes]).toEqual([
      1,
      [],
      bytesOnDisk(blob.meta),
    ]);
  });

  test('a peer tells its whole list at the moment when it begins: one entry, which has its list and goes on', async () => {
    const store = await origin();
    const blob = blobOf(6 * unitBytes + 5, 81);
    const [writing, entry] = await Promise.all([
      store.growing.begin(blob.digest, blob.bytes.length),
      store.create(blob.digest, blob.meta, blob.hashes),
    ]);
    expect([entry, entry.growth, store.get(blob.digest)]).toEqual([writing.entry, undefined, entry]);
    expect(store.usedBytes).toBe(bytesOnDisk(blob.meta));
    expect([writing.needed, await writing.finish()]).toEqual([false, entry]);
    for (let piece = 0; piece < entry.pieces; piece += 1)
      await writePiece({ arena: stores.workers.arena, entry, blob }, piece);
    expect(sameBlob(await readAll(stores.workers.arena, entry), blob)).toBe(true);
  });

  test('a removal ends it: what comes then is refused, and nothing is kept', async () => {
    const dir = stores.directory();
    const store = await origin(dir);
    const blob = blobOf(5 * unitBytes + 1, 80);
    const writing = await store.growing.begin(blob.digest, blob.bytes.length);
    await feed(writing, blob, 2 * unitBytes);
    await store.remove(blob.digest);
    await expect(feed(writing, blob, blob.bytes.length)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
    await writing.abort();
    expect([readdirSync(join(dir, 'uploads')), store.usedBytes]).toEqual([[], 0]);
  });

  test('whoever goes on where another origin ended fetches only what did not come from there in pieces', async () => {
    const dir = stores.directory();
    const store = await origin(dir);
    const blob = blobOf(9 * unitBytes + 7, 81);
    const { growth, hashes } = growthOf(blob, 6);
    const entry = await store.growing.create(blob.digest, growth, hashes);
    for (const piece of [0, 1, 2, 4]) await writePiece({ arena: stores.workers.arena, entry, blob }, piece);
    const writing = await store.growing.begin(blob.digest, blob.bytes.length);
    expect([writing.entry, writing.resumeAt, writing.offset]).toEqual([entry, 3 * unitBytes, 3 * unitBytes]);
    expect(writing.entry.known).toBe(6);
    await feed(writing, blob, blob.bytes.length);
    await writing.finish();
    expect(await stores.intact(store, blob)).toBe(true);
    await stores.close(store);
    expect(await stores.intact(await origin(dir), blob)).toBe(true);
  });

  test('bytes that are not those that came from another origin before revoke it at once', async () => {
    const store = await origin();
    const [blob, other] = [blobOf(9 * unitBytes, 82), blobOf(9 * unitBytes, 83)];
    const { growth, hashes } = growthOf(blob, 6);
    const entry = await store.growing.create(blob.digest, growth, hashes);
    await writePiece({ arena: stores.workers.arena, entry, blob }, 0);
    const writing = await store.growing.begin(blob.digest, blob.bytes.length);
    const sent = (async () => {
      await feed(writing, other, blob.bytes.length);
      await writing.finish();
    })();
    await expect(sent).rejects.toMatchObject({ code: 'DIGEST_INVALID', message: expect.stringContaining('piece 1') });
    expect([entry.revoked?.code, store.usedBytes]).toEqual(['DIGEST_INVALID', 0]);
  });

  test('what the disk lost of what came before is no fault of where the blob rests', async () => {
    const dir = stores.directory();
    const store = await origin(dir);
    const blob = blobOf(4 * unitBytes, 84);
    const { growth, hashes } = growthOf(blob, 2);
    const entry = await store.growing.create(blob.digest, growth, hashes);
    for (const piece of [0, 1]) await writePiece({ arena: stores.workers.arena, entry, blob }, piece);
    damage(join(dir, 'uploads', readdirSync(join(dir, 'uploads'))[0]!), 100);
    const writing = await store.growing.begin(blob.digest, blob.bytes.length);
    await feed(writing, blob, blob.bytes.length);
    await expect(writing.finish()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect([entry.revoked, store.get(blob.digest)]).toEqual([undefined, undefined]);
  });
});

describe('at who gets it in pieces', () => {
  const arena = () => stores.workers.arena;

  test('a piece is taken once its hash is known; a list that contradicts is refused', async () => {
    const store = await stores.open(stores.directory());
    const [blob, other] = [blobOf(6 * unitBytes, 90), blobOf(6 * unitBytes, 91)];
    const { growth, hashes } = growthOf(blob, 2);
    const entry = await store.growing.create(blob.digest, growth, hashes);
    if (!(entry instanceof GrowingEntry)) throw new Error('it does not grow');
    expect(await store.growing.create(blob.digest, growth, hashes)).toBe(entry);
    expect(await writePiece({ arena: arena(), entry, blob }, 1)).toBe('held');
    expect(await writePiece({ arena: arena(), entry, blob }, 2)).toBe('failed');
    expect(entry.extend(growthOf(other, 4).hashes)).toBe(false);
    expect([entry.known, entry.extend(growthOf(blob, 1).hashes), entry.known]).toEqual([2, true, 2]);
    expect(entry.extend(growthOf(blob, 5).hashes)).toBe(true);
    expect(await writePiece({ arena: arena(), entry, blob }, 2)).toBe('held');
    expect(await writePiece({ arena: arena(), entry, blob }, 3, other.bytes.subarray(0, unitBytes))).toBe('corrupt');
    expect(await store.growing.settle(entry, other.meta, other.hashes)).toBe(false);
    expect(entry.growth?.known).toBe(5);
    // Another list for the same digest: what was here is worth nothing.
    const anew = await store.growing.create(blob.digest, growthOf(other, 1).growth, growthOf(other, 1).hashes);
    expect([anew === entry, entry.gone, anew.heldCount]).toEqual([false, true, 0]);
  });

  test('before it is settled a restart finds nothing of it, afterwards what it has', async () => {
    const dir = stores.directory();
    let store = await stores.open(dir);
    const blob = blobOf(6 * unitBytes + 4, 92);
    const { growth, hashes } = growthOf(blob, 4);
    let entry = await store.growing.create(blob.digest, growth, hashes);
    await writePiece({ arena: arena(), entry, blob }, 0);
    await store.flush();
    expect(blobFiles(dir)).toEqual([]);
    await stores.close(store);
    store = await stores.open(dir);
    expect([store.get(blob.digest), store.usedBytes, readdirSync(join(dir, 'uploads'))]).toEqual([undefined, 0, []]);
    entry = await store.growing.create(blob.digest, growth, hashes);
    for (const piece of [0, 3]) await writePiece({ arena: arena(), entry, blob }, piece);
    // As who meets ordinary metainfo of what grew until now does.
    expect(await store.create(blob.digest, blob.meta, blob.hashes)).toBe(entry);
    expect([entry.growth, entry.meta, entry.complete, entry.heldCount]).toEqual([undefined, blob.meta, false, 2]);
    await writePiece({ arena: arena(), entry, blob }, 5);
    await stores.close(store);
    store = await stores.open(dir);
    const found = store.get(blob.digest)!;
    expect([0, 1, 2, 3, 4, 5, 6].map((piece) => found.has(piece))).toEqual([
      true,
      false,
      false,
      true,
      false,
      true,
      false,
    ]);
    for (const piece of [1, 2, 4, 6]) await writePiece({ arena: arena(), entry: found, blob }, piece);
    expect(await stores.intact(store, blob)).toBe(true);
  });

  test('one that there is no room for passes through, and goes on when its list is whole', async () => {
    const store = await stores.open(stores.directory(), { budgetBytes: 3 * unitBytes, windowBytesMin: 2 * unitBytes });
    const blob = blobOf(6 * unitBytes + 4, 93);
    const { growth, hashes } = growthOf(blob, 3);
    const entry = await store.growing.create(blob.digest, growth, hashes);
    if (!(entry instanceof GrowingEntry)) throw new Error('it does not grow');
    const { window } = entry;
    const through = async (piece: number): Promise<void> => {
      expect(window?.take(piece)).toBe(true);
      expect(await writePiece({ arena: arena(), entry, blob }, piece)).toBe('held');
      expect(await read(entry, blob, piece)).toBe('right');
      entry.giveUp(piece);
    };
    for (const piece of [0, 1, 2]) await through(piece);
    expect(entry.extend(growthOf(blob, 5).hashes)).toBe(true);
    for (const piece of [3, 4]) await through(piece);
    expect(await store.growing.settle(entry, blob.meta, blob.hashes)).toBe(true);
    for (const piece of [5, 6]) await through(piece);
    expect([entry.meta, store.usedBytes <= 3 * unitBytes]).toEqual([blob.meta, true]);
    store.passed(entry);
  });

  test('an origin that gets it from another one reads it back before it says that it has it', async () => {
    const dir = stores.directory();
    const store = await origin(dir);
    const blob = blobOf(3 * unitBytes, 94);
    // Every piece matches the list; the bytes are another digest's.
    const { digest } = blobOf(3 * unitBytes, 95);
    const { growth, hashes } = growthOf(blob, 2);
    const entry = (await store.growing.create(digest, growth, hashes)) as GrowingEntry;
    for (const piece of [0, 1]) await writePiece({ arena: arena(), entry, blob }, piece);
    await store.growing.settle(entry, blob.meta, blob.hashes);
    const slot = await arena().acquire('receive', unitBytes);
    fill(slot, blob.bytes.subarray(2 * unitBytes));
    expect(await entry.write(2, slot)).toBe('failed');
    slot.release();
    expect([entry.failure?.code, store.get(digest)]).toEqual(['DIGEST_INVALID', undefined]);
    expect(sameBlob(await readAll(arena(), entry), blob)).toBe(false);
  });
});
