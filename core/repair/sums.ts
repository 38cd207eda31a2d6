/**
 * How two origins find out which of the blobs that both should hold one of them lacks, without naming those that both
 * have: digests fall into buckets by their first bits, and of each bucket the number and two sums are compared.
 *
 * Rule 1: a set has the same sums in whatever order it was added. Two sets that differ have the same sums by chance once in
 *         2^64 times; digests are hashes, so nobody chooses them.
 * Rule 2: buckets are in the order of digests (`orderOf`), so that a range of them is a range of digests.
 */

import { type Digest, digestHex } from '../digest.ts';

/** Of a million blobs 244 fall in one: a page names what differs, and little more. By the first three hex digits. */
export const buckets = 4096;
const bucketDigits = 3;
/** Number, exclusive or, sum: four bytes each. */
const bucketBytes = 12;
export const sumsBytes = buckets * bucketBytes;
const wordDigits = 8;

/** What digests are ordered by here: their hash, whatever its algorithm. */
export const orderOf = digestHex;

export function bucketOf(digest: Digest): number {
  const at = digest.indexOf(':') + 1;
  return Number.parseInt(digest.slice(at, at + bucketDigits), 16);
}

/** A set of buckets, a bit each. */
export const maskBytes = buckets / 8;
export type BucketMask = Uint8Array;

export function inMask(mask: BucketMask, bucket: number): boolean {
  return ((mask[bucket >>> 3] as number) & (1 << (bucket & 7))) !== 0;
}

/** Buckets in which the two differ. */
export function differing(one: Sums, two: Sums): BucketMask {
  const mask = new Uint8Array(maskBytes);
  for (let bucket = 0; bucket < buckets; bucket++) {
    if (!one.same(two, bucket)) mask[bucket >>> 3]! |= 1 << (bucket & 7);
  }
  return mask;
}

export function eitherMask(masks: readonly BucketMask[]): BucketMask {
  const all = new Uint8Array(maskBytes);
  for (const mask of masks) for (let at = 0; at < maskBytes; at++) all[at]! |= mask[at] as number;
  return all;
}

export class Sums {
  readonly #words: Uint32Array;

  /** Of nothing, or of what `bytes` gave. */
  constructor(words = new Uint32Array(sumsBytes / 4)) {
    this.#words = words;
  }

  /** undefined: these are no sums. */
  static of(bytes: Uint8Array): Sums | undefined {
    if (bytes.length !== sumsBytes) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const words = new Uint32Array(sumsBytes / 4);
    for (let word = 0; word < words.length; word++) words[word] = view.getUint32(word * 4);
    return new Sums(words);
  }

  get bytes(): Uint8Array {
    const bytes = new Uint8Array(sumsBytes);
    const view = new DataView(bytes.buffer);
    for (const [word, value] of this.#words.entries()) view.setUint32(word * 4, value);
    return bytes;
  }

  add(digest: Digest): void {
    const at = digest.indexOf(':') + 1 + bucketDigits;
    const one = Number.parseInt(digest.slice(at, at + wordDigits), 16);
    const two = Number.parseInt(digest.slice(at + wordDigits, at + 2 * wordDigits), 16);
    const word = bucketOf(digest) * 3;
    this.#words[word]! += 1;
    this.#words[word + 1]! ^= one;
    this.#words[word + 2]! += two;
  }

  get total(): number {
    let total = 0;
    for (let word = 0; word < this.#words.length; word += 3) total += this.#words[word] as number;
    return total;
  }

  same(other: Sums, bucket: number): boolean {
    const at = bucket * 3;
    return [0, 1, 2].every((word) => this.#words[at + word] === other.#words[at + word]);
  }
}
