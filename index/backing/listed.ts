/**
 * Sizes of what a backend has just listed, so that an import need not ask for each object once more: of blobs by digest, of
 * other keys those of the last page.
 *
 * Rule: a listing may be older than what it tells of. What contradicts it is asked for; only what agrees with it is not.
 */

import { type Digest, digestHex } from '../../core/digest.ts';
import type { BackendPage } from '../../platform/backends/backend.ts';
import type { BlobLayout } from '../../platform/backends/layout.ts';

/** Blobs, with 16 bytes each and as much again for speed: 64 MiB. Later ones are asked for. */
const blobsMax = 2_000_000;
const leastSlots = 1024;
/** Of a digest, as hex: two words of 32 bits. Who finds a second one that begins so has found nothing: bytes are compared later. */
const wordHex = 8;

export class ListedSizes {
  readonly #blobs = new SizeTable(blobsMax);
  readonly #layout: BlobLayout;
  #page = new Map<string, number>();

  constructor(layout: BlobLayout) {
    this.#layout = layout;
  }

  listed(objects: BackendPage['objects']): void {
    this.#page = new Map();
    for (const { key, size } of objects) {
      const digest = this.#layout.perRepository === true ? undefined : this.#layout.digestOf(key);
      if (digest === undefined) this.#page.set(key, size);
      else this.#blobs.set(digest, size);
    }
  }

  /** Of a blob, wherever it was listed; undefined: it was not. */
  ofBlob(digest: Digest): number | undefined {
    return this.#blobs.get(digest);
  }

  /** Of another key of the last page. */
  ofKey(key: string): number | undefined {
    return this.#page.get(key);
  }
}

/** A table of numbers in two arrays: a Map of as many strings would take ten times the memory. */
class SizeTable {
  readonly #max: number;
  #count = 0;
  /** Two words of the digest a slot; the second zero: free. */
  #keys = new Uint32Array(2 * leastSlots);
  #sizes = new Float64Array(leastSlots);

  constructor(max: number) {
    this.#max = max;
  }

  get(digest: Digest): number | undefined {
    const [high, low] = wordsOf(digest);
    const slot = this.#slotOf(high, low);
    return this.#isFree(slot) ? undefined : this.#sizes[slot];
  }

  set(digest: Digest, size: number): void {
    const [high, low] = wordsOf(digest);
    let slot = this.#slotOf(high, low);
    if (this.#isFree(slot)) {
      if (this.#count === this.#max) return;
      if (2 * (this.#count + 1) > this.#sizes.length) {
        this.#grow();
        slot = this.#slotOf(high, low);
      }
      this.#count += 1;
    }
    this.#place(slot, [high, low], size);
  }

  #place(slot: number, [high, low]: readonly [number, number], size: number): void {
    this.#keys[2 * slot] = high;
    this.#keys[2 * slot + 1] = low;
    this.#sizes[slot] = size;
  }

  #grow(): void {
    const [keys, sizes] = [this.#keys, this.#sizes];
    this.#keys = new Uint32Array(2 * keys.length);
    this.#sizes = new Float64Array(2 * sizes.length);
    for (let slot = 0; slot < sizes.length; slot++) {
      const [high = 0, low = 0, size = 0] = [keys[2 * slot], keys[2 * slot + 1], sizes[slot]];
      if (low !== 0) this.#place(this.#slotOf(high, low), [high, low], size);
    }
  }

  /** Where it is, or belongs. */
  #slotOf(high: number, low: number): number {
    const mask = this.#sizes.length - 1;
    let slot = low & mask;
    while (!this.#isFree(slot) && (this.#keys[2 * slot] !== high || this.#keys[2 * slot + 1] !== low))
      slot = (slot + 1) & mask;
    return slot;
  }

  #isFree(slot: number): boolean {
    return this.#keys[2 * slot + 1] === 0;
  }
}

function wordsOf(digest: Digest): readonly [number, number] {
  const hex = digestHex(digest);
  const high = Number.parseInt(hex.slice(0, wordHex), 16);
  // Never zero, which is a free slot.
  return [high, Number.parseInt(hex.slice(wordHex, 2 * wordHex), 16) || 1];
}
