/**
 * Every blob of the store, in a hundred bytes each: what its name says, where it lies, when it came, in which order blobs
 * were used. An entry (pieces/entry.ts) is for who uses a blob.
 *
 * Rule 1: a row is a blob's for as long as it is here; then it may be another's.
 * Rule 2: a step costs the same however many rows there are, and none is longer for what is there already: buckets grow one
 *   at a time (linear hashing).
 * Rule 3: which digests meet in a bucket nobody outside can foresee.
 */

import { randomBytes } from 'node:crypto';
import { type Digest, type DigestAlgorithm, digestAlgorithm, digestHex, digestOf } from '../../../core/digest.ts';
import { hashBytes, type Metainfo } from '../../../core/piece.ts';
import { bytesOnDisk } from '../layout.ts';
import { chunkRows, inChunk, none, RowChunk, rowsLog2 } from './columns.ts';

/** Some 1.7 GB of memory. A process of that many blobs has other limits first. */
const rowsMax = 2 ** 24;
const sha512 = 1;
const noRoot = '0'.repeat(2 * hashBytes);

/** What is so of a blob that is whole; of another one its entry knows more. */
export type BlobRow = {
  readonly digest: Digest;
  /** While it grows it has no root. */
  readonly meta: Metainfo;
  readonly volume: number;
  /** When its bytes came here, in seconds since the epoch. */
  readonly came: number;
};

/** Somebody uses it: there is an entry. */
const live = 2;
/** It was whole when the last process ended. */
const wasWhole = 4;

export class BlobTable {
  readonly #chunks: RowChunk[] = [new RowChunk()];
  readonly #buckets = new Buckets(this.#chunks);
  readonly order = new Order(this.#chunks);
  /** Of digests that are longer than others: the second half. */
  readonly #tails = new Map<number, Buffer>();
  readonly #key = Buffer.alloc(2 * hashBytes);
  #free = none;
  /** Rows that were ever taken. */
  #taken = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count >= rowsMax;
  }

  /** `none`: it is not here. */
  find(digest: Digest): number {
    const algorithm = this.#readKey(digest);
    for (let row = this.#buckets.first(this.#key); row !== none; row = this.#buckets.next(row)) {
      if (this.#has(row, algorithm)) return row;
    }
    return none;
  }

  /** It is not here, or expected; used now, if `used` is. */
  add(blob: BlobRow, used: number): number {
    let row = this.find(blob.digest);
    if (row === none) row = this.#enter(blob.digest, blob.came, used);
    this.update(row, blob.meta, blob.volume);
    return row;
  }

  /** It is not here yet, and nothing else is known of it: a start looks for it. */
  expect(digest: Digest, told: { readonly whole: boolean; readonly came: number; readonly used: number }): void {
    if (this.find(digest) !== none) return;
    const row = this.#enter(digest, told.came, told.used);
    const { flags, pieceLog2 } = chunkOf(this.#chunks, row);
    pieceLog2[row & inChunk] = 0;
    if (told.whole) flags[row & inChunk] = (flags[row & inChunk] as number) | wasWhole;
  }

  /** It is not here as far as is known. */
  expected(row: number): boolean {
    return chunkOf(this.#chunks, row).pieceLog2[row & inChunk] === 0;
  }

  wasWhole(row: number): boolean {
    return ((chunkOf(this.#chunks, row).flags[row & inChunk] as number) & wasWhole) !== 0;
  }

  /** Its digest's bytes, and when it came and was used. */
  record(row: number): { readonly digest: Uint8Array; readonly came: number; readonly used: number } {
    const { digests, came, used } = chunkOf(this.#chunks, row);
    const [at, tail] = [row & inChunk, this.#tails.get(row)];
    const head = digests.subarray(at * hashBytes, (at + 1) * hashBytes);
    const digest = tail === undefined ? head : Buffer.concat([head, tail]);
    return { digest, came: came[at] as number, used: used[at] as number };
  }

  #enter(digest: Digest, came: number, used: number): number {
    const row = this.#take();
    const algorithm = this.#readKey(digest);
    const chunk = chunkOf(this.#chunks, row);
    const at = row & inChunk;
    chunk.digests.set(this.#key.subarray(0, hashBytes), at * hashBytes);
    if (algorithm === 'sha512') this.#tails.set(row, Buffer.from(this.#key.subarray(hashBytes)));
    chunk.flags[at] = algorithm === 'sha512' ? sha512 : 0;
    chunk.came[at] = came;
    chunk.used[at] = used;
    this.#buckets.add(row, this.#count + 1);
    this.order.append(row);
    this.#count += 1;
    return row;
  }

  /** Its root was not known before, or it has another file now. */
  update(row: number, meta: Metainfo, volume: number): void {
    const chunk = chunkOf(this.#chunks, row);
    const at = row & inChunk;
    chunk.lengths[at] = meta.length;
    chunk.pieceLog2[at] = Math.log2(meta.pieceLength);
    chunk.volumes[at] = volume;
    // A root that is not known yet is zeros.
    chunk.roots.write(meta.root === '' ? noRoot : meta.root, at * hashBytes, 'hex');
  }

  remove(row: number): void {
    this.order.unlink(row);
    this.#buckets.remove(row);
    this.#tails.delete(row);
    const chunk = chunkOf(this.#chunks, row);
    chunk.flags[row & inChunk] = 0;
    // No blob has pieces of this length: the row is free.
    chunk.pieceLog2[row & inChunk] = 0;
    chunk.chain[row & inChunk] = this.#free;
    this.#free = row;
    this.#count -= 1;
  }

  touch(row: number, used: number): void {
    this.order.unlink(row);
    this.order.append(row);
    chunkOf(this.#chunks, row).used[row & inChunk] = used;
  }

  digest(row: number): Digest {
    const { digests, flags } = chunkOf(this.#chunks, row);
    const at = row & inChunk;
    const head = digests.toString('hex', at * hashBytes, (at + 1) * hashBytes);
    if (((flags[at] as number) & sha512) === 0) return digestOf('sha256', head);
    return digestOf('sha512', head + (this.#tails.get(row) as Buffer).toString('hex'));
  }

  blob(row: number): BlobRow {
    const { lengths, roots, volumes, came } = chunkOf(this.#chunks, row);
    const at = row & inChunk;
    const meta = {
      length: lengths[at] as number,
      pieceLength: this.#pieceLength(row),
      root: roots.toString('hex', at * hashBytes, (at + 1) * hashBytes),
    };
    return { digest: this.digest(row), meta, volume: volumes[at] as number, came: came[at] as number };
  }

  /** Its own, and those of its list. */
  bytes(row: number): number {
    const length = chunkOf(this.#chunks, row).lengths[row & inChunk] as number;
    return bytesOnDisk({ length, pieceLength: this.#pieceLength(row), root: '' });
  }

  volume(row: number): number {
    return chunkOf(this.#chunks, row).volumes[row & inChunk] as number;
  }

  used(row: number): number {
    return chunkOf(this.#chunks, row).used[row & inChunk] as number;
  }

  live(row: number): boolean {
    return ((chunkOf(this.#chunks, row).flags[row & inChunk] as number) & live) !== 0;
  }

  setLive(row: number, is: boolean): void {
    const { flags } = chunkOf(this.#chunks, row);
    const at = row & inChunk;
    flags[at] = is ? (flags[at] as number) | live : (flags[at] as number) & ~live;
  }

  /** Rows of blobs from the `from`th on, in no order; whatever comes or goes meanwhile, one that stays is met once. */
  *rows(from = 0): Generator<number, undefined> {
    for (let row = from; row < this.#taken; row += 1) {
      if (chunkOf(this.#chunks, row).pieceLog2[row & inChunk] !== 0) yield row;
    }
    return undefined;
  }

  #pieceLength(row: number): number {
    return 2 ** (chunkOf(this.#chunks, row).pieceLog2[row & inChunk] as number);
  }

  #take(): number {
    const row = this.#free;
    if (row !== none) {
      this.#free = chunkOf(this.#chunks, row).chain[row & inChunk] as number;
      return row;
    }
    if (this.#taken === this.#chunks.length * chunkRows) this.#chunks.push(new RowChunk());
    this.#taken += 1;
    return this.#taken - 1;
  }

  #readKey(digest: Digest): DigestAlgorithm {
    const algorithm = digestAlgorithm(digest);
    const hex = digestHex(digest);
    this.#key.write(hex, 0, 'hex');
    return algorithm;
  }

  #has(row: number, algorithm: DigestAlgorithm): boolean {
    const { digests, flags } = chunkOf(this.#chunks, row);
    const at = row & inChunk;
    for (let i = 0; i < hashBytes; i += 1) if (digests[at * hashBytes + i] !== this.#key[i]) return false;
    const longer = ((flags[at] as number) & sha512) !== 0;
    if (longer !== (algorithm === 'sha512')) return false;
    return !longer || this.#tails.get(row)?.every((byte, i) => byte === this.#key[hashBytes + i]) === true;
  }
}

type Walk = { next: number; last: number };

/** Rows in order of use, each a link of a list: the first was used longest ago. */
class Order {
  readonly #chunks: readonly RowChunk[];
  readonly #walks = new Set<Walk>();
  #first = none;
  #last = none;

  constructor(chunks: readonly RowChunk[]) {
    this.#chunks = chunks;
  }

  get first(): number {
    return this.#first;
  }

  /** The row, which is in no order yet, was used now. */
  append(row: number): void {
    const chunk = chunkOf(this.#chunks, row);
    chunk.before[row & inChunk] = this.#last;
    chunk.after[row & inChunk] = none;
    if (this.#last === none) this.#first = row;
    else chunkOf(this.#chunks, this.#last).after[this.#last & inChunk] = row;
    this.#last = row;
  }

  unlink(row: number): void {
    const { before, after } = chunkOf(this.#chunks, row);
    const at = row & inChunk;
    const [left, right] = [before[at] as number, after[at] as number];
    for (const walk of this.#walks) {
      if (walk.last === row) walk.last = left;
      if (walk.next === row) walk.next = walk.last === left ? none : right;
    }
    if (left === none) this.#first = right;
    else chunkOf(this.#chunks, left).after[left & inChunk] = right;
    if (right === none) this.#last = left;
    else chunkOf(this.#chunks, right).before[right & inChunk] = left;
  }

  /** What is before `row` was used after all others. */
  rotateTo(row: number): void {
    if (row === this.#first) return;
    const last = chunkOf(this.#chunks, row).before[row & inChunk] as number;
    chunkOf(this.#chunks, this.#last).after[this.#last & inChunk] = this.#first;
    chunkOf(this.#chunks, this.#first).before[this.#first & inChunk] = this.#last;
    chunkOf(this.#chunks, last).after[last & inChunk] = none;
    chunkOf(this.#chunks, row).before[row & inChunk] = none;
    [this.#first, this.#last] = [row, last];
  }

  /**
   * The rows that are there now, in the order in which they are when it comes to them; it may be interrupted for as long
   * as it likes: rows come, go and move meanwhile. Its end, or `return`, frees it.
   */
  *walk(): Generator<number, undefined> {
    const walk: Walk = { next: this.#first, last: this.#last };
    this.#walks.add(walk);
    try {
      while (walk.next !== none) {
        const row = walk.next;
        walk.next = row === walk.last ? none : (chunkOf(this.#chunks, row).after[row & inChunk] as number);
        yield row;
      }
      return undefined;
    } finally {
      this.#walks.delete(walk);
    }
  }
}

/** Buckets of one piece of memory. */
const partLog2 = 12;
const partBuckets = 1 << partLog2;

/** Which rows may have a digest: chains of them, by a hash of it. */
class Buckets {
  readonly #chunks: readonly RowChunk[];
  readonly #parts: Int32Array[] = [];
  readonly #salt = randomBytes(8).readUInt32LE(0) | 1;
  #count = 0;
  /** The largest power of two that is at most `#count`. */
  #half = 1;

  constructor(chunks: readonly RowChunk[]) {
    this.#chunks = chunks;
    this.#addBucket();
  }

  first(digest: Uint8Array): number {
    return this.#head(this.#bucketOf(digest, 0));
  }

  next(row: number): number {
    return chunkOf(this.#chunks, row).chain[row & inChunk] as number;
  }

  /** `rows`: as many as there will be. */
  add(row: number, rows: number): void {
    if (rows > this.#count) this.#split();
    this.#push(this.#bucketOfRow(row), row);
  }

  remove(row: number): void {
    const bucket = this.#bucketOfRow(row);
    const next = this.next(row);
    let at = this.#head(bucket);
    if (at === row) return this.#setHead(bucket, next);
    for (let after = this.next(at); after !== row; after = this.next(at)) at = after;
    chunkOf(this.#chunks, at).chain[at & inChunk] = next;
  }

  /** One more bucket takes its rows out of the one that had them. */
  #split(): void {
    const added = this.#count;
    this.#addBucket();
    const from = added - this.#half;
    let row = this.#head(from);
    this.#setHead(from, none);
    while (row !== none) {
      const next = this.next(row);
      this.#push(this.#bucketOfRow(row), row);
      row = next;
    }
  }

  #addBucket(): void {
    if (this.#count % partBuckets === 0) this.#parts.push(new Int32Array(partBuckets).fill(none));
    if (this.#count === 2 * this.#half) this.#half *= 2;
    this.#count += 1;
  }

  #push(bucket: number, row: number): void {
    chunkOf(this.#chunks, row).chain[row & inChunk] = this.#head(bucket);
    this.#setHead(bucket, row);
  }

  #head(bucket: number): number {
    return (this.#parts[bucket >> partLog2] as Int32Array)[bucket & (partBuckets - 1)] as number;
  }

  #setHead(bucket: number, row: number): void {
    (this.#parts[bucket >> partLog2] as Int32Array)[bucket & (partBuckets - 1)] = row;
  }

  #bucketOfRow(row: number): number {
    return this.#bucketOf(chunkOf(this.#chunks, row).digests, (row & inChunk) * hashBytes);
  }

  #bucketOf(digests: Uint8Array, start: number): number {
    let hash = this.#salt;
    for (let i = start; i < start + hashBytes; i += 1) {
      hash = Math.imul(hash ^ (digests[i] as number), 0x01000193) ^ (hash >>> 13);
    }
    hash ^= hash >>> 15;
    const bucket = (hash >>> 0) & (2 * this.#half - 1);
    return bucket < this.#count ? bucket : bucket & (this.#half - 1);
  }
}

function chunkOf(chunks: readonly RowChunk[], row: number): RowChunk {
  return chunks[row >> rowsLog2] as RowChunk;
}
