/**
 * Which pieces the sources of a blob hold, and how many of them we lack and do not fetch. Of every 32 pieces the words of
 * all sources lie side by side: whoever gives or takes a piece asks all of them at once, in one cache line.
 *
 * Rule: the i-th source of the blob has place i. Who has everything has no bits here.
 */

import type { Bits, SeenBits } from './bits.ts';

/** For whoever only looks. */
export type SeenHoldings = Pick<Holdings, 'has' | 'of'> & {
  readonly counts: SeenBits;
  readonly bits: SeenBits;
  readonly places: number;
};

export class Holdings {
  /** Of every place: open pieces that it holds. */
  counts = new Int32Array(4);
  /** Word w of place i is `bits[w * places + i]`. */
  bits: Int32Array;
  places = 4;
  readonly #words: number;

  constructor(pieces: number) {
    this.#words = (pieces + 31) >>> 5;
    this.bits = new Int32Array(this.#words * this.places);
  }

  has(place: number, piece: number): boolean {
    return ((this.bits[(piece >>> 5) * this.places + place]! >>> (piece & 31)) & 1) === 1;
  }

  /** Bits and count of a place that is new, or whose source holds everything now. */
  set(place: number, theirs: Bits | undefined): void {
    if (place >= this.places) this.#widen();
    for (let w = 0; w < this.#words; w += 1) this.bits[w * this.places + place] = theirs === undefined ? 0 : theirs[w]!;
    this.counts[place] = 0;
  }

  /** What is at one place is at another from now on. */
  move(from: number, to: number): void {
    for (let w = 0; w < this.#words; w += 1) this.bits[w * this.places + to] = this.bits[w * this.places + from]!;
    this.counts[to] = this.counts[from]!;
  }

  /** Those of one place alone. */
  of(place: number): Bits {
    const theirs = new Int32Array(this.#words);
    for (let w = 0; w < this.#words; w += 1) theirs[w] = this.bits[w * this.places + place]!;
    return theirs;
  }

  /** By four: a blob has sixteen sources, or a few more while edges change. */
  #widen(): void {
    const before = this.bits;
    const places = this.places + 4;
    this.bits = new Int32Array(this.#words * places);
    for (let w = 0; w < this.#words; w += 1)
      this.bits.set(before.subarray(w * this.places, (w + 1) * this.places), w * places);
    const counts = new Int32Array(places);
    counts.set(this.counts);
    this.counts = counts;
    this.places = places;
  }
}
