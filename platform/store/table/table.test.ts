import { createHash } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { type Digest, digestOf } from '../../../core/digest.ts';
import type { Metainfo } from '../../../core/piece.ts';
import { prng } from '../../../core/prng.ts';
import { bytesOnDisk } from '../layout.ts';
import { none } from './columns.ts';
import { type BlobRow, BlobTable } from './table.ts';

const bytesMax = 200;

function blobNo(no: number): BlobRow {
  const algorithm = no % 5 === 0 ? 'sha512' : 'sha256';
  const hash = createHash(algorithm).update(`blob ${no}`).digest('hex');
  const meta: Metainfo = {
    length: no % 3 === 0 ? 0 : no * 1_000_003,
    pieceLength: 2 ** (18 + (no % 7)),
    root: createHash('sha256').update(`root ${no}`).digest('hex'),
  };
  return { digest: digestOf(algorithm, hash), meta, volume: no % 256, came: no };
}

test('in whatever order blobs come, go and are used, each is found with what is known of it, and their order is that of use', () => {
  const seed = 16;
  const random = prng(seed);
  const table = new BlobTable();
  /** In order of use. */
  const model = new Map<Digest, BlobRow>();
  for (let step = 0; step < 40_000; step++) {
    const blob = blobNo(random.below(6_000));
    const row = table.find(blob.digest);
    expect(row !== none).toBe(model.has(blob.digest));
    const what = random.below(4);
    if (row === none) {
      table.add(blob, step);
      model.set(blob.digest, blob);
    } else if (what < 2) {
      table.remove(row);
      model.delete(blob.digest);
    } else {
      table.touch(row, step);
      expect(table.used(row)).toBe(step);
      model.delete(blob.digest);
      model.set(blob.digest, blob);
    }
  }
  expect(table.count).toBe(model.size);
  const inOrder = [...table.order.walk()];
  expect(inOrder.map((row) => table.digest(row))).toEqual([...model.keys()]);
  expect(inOrder.map((row) => table.blob(row))).toEqual([...model.values()]);
  for (const row of inOrder) expect(table.bytes(row)).toBe(bytesOnDisk(table.blob(row).meta));
  expect(Array.from(table.rows(), (row) => table.digest(row)).sort()).toEqual([...model.keys()].sort());
});

test('two digests that begin alike are two blobs', () => {
  const table = new BlobTable();
  const short = blobNo(1);
  const long = digestOf('sha512', short.digest.slice(7) + '0'.repeat(64));
  const other = digestOf('sha512', short.digest.slice(7) + '1'.repeat(64));
  table.add(short, 0);
  expect(table.find(long)).toBe(none);
  table.add({ ...short, digest: long }, 0);
  expect(table.find(other)).toBe(none);
  expect([short.digest, long].map((digest) => table.digest(table.find(digest)))).toEqual([short.digest, long]);
});

test('a walk meets what was there when it began and still is, once, whatever happens while it waits', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = prng(seed);
    const table = new BlobTable();
    for (let no = 0; no < 12; no++) table.add(blobNo(no), 0);
    const stays = new Set(Array.from({ length: 12 }, (_, no) => blobNo(no).digest));
    const moved = new Set<Digest>();
    const seen: Digest[] = [];
    let next = 12;
    for (const row of table.order.walk()) {
      seen.push(table.digest(row));
      for (let i = random.below(4); i > 0; i--) {
        const { digest } = blobNo(random.below(next));
        const at = table.find(digest);
        if (at === none) table.add(blobNo(next++), 0);
        else if (random.below(2) === 0) {
          table.touch(at, 1);
          moved.add(digest);
        } else {
          table.remove(at);
          stays.delete(digest);
        }
      }
      if (seen.length > 12) break;
    }
    expect(seen.length, `seed ${seed}`).toBeLessThanOrEqual(12);
    for (const digest of stays) if (!moved.has(digest)) expect(seen, `seed ${seed}`).toContain(digest);
    expect(new Set(seen.filter((digest) => !moved.has(digest))).size).toBe(
      seen.filter((digest) => !moved.has(digest)).length,
    );
  }
});

test('what is before a row is put after all others', () => {
  const table = new BlobTable();
  const rows = [0, 1, 2, 3, 4].map((no) => table.add(blobNo(no), 0));
  table.order.rotateTo(rows[2] as number);
  const at = (order: number[]) => order.map((no) => rows[no]);
  expect([...table.order.walk()]).toEqual(at([2, 3, 4, 0, 1]));
  table.order.rotateTo(rows[2] as number);
  table.touch(rows[3] as number, 0);
  expect([...table.order.walk()]).toEqual(at([2, 4, 0, 1, 3]));
  table.remove(rows[2] as number);
  table.remove(rows[3] as number);
  expect([...table.order.walk()]).toEqual(at([4, 0, 1]));
});

test(`a blob takes at most ${bytesMax} bytes`, async () => {
  const count = 100_000;
  const before = await used();
  const table = new BlobTable();
  for (let no = 0; no < count; no++) {
    const hex = no.toString(16).padStart(64, '0');
    const meta = { length: no, pieceLength: 2 ** 18, root: hex };
    table.add({ digest: digestOf('sha256', hex), meta, volume: 0, came: 0 }, 0);
  }
  const each = ((await used()) - before) / count;
  expect(each).toBeLessThan(bytesMax);
  // What its name says alone is two hashes: less means that something else was measured.
  expect(each).toBeGreaterThan(64);
  expect(table.count).toBe(count);
});

/** Bytes of the process that are in use, but for what can be collected; memory outside of the heap is freed a moment later. */
async function used(): Promise<number> {
  setFlagsFromString('--expose_gc');
  const gc = runInNewContext('gc') as () => void;
  for (let i = 0; i < 4; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  // What is external counts arrays as well.
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
