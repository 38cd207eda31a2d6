/**
 * Bit sets over pieces: 32 to a word, piece i is bit (i & 31) of word i >> 5.
 * Words are signed so that V8 keeps them as 32-bit integers through `&` and `~`.
 *
 * Which pieces the sources of a blob hold are as many sets side by side (Holdings): of every 32 pieces the words of all of
 * them, so that whoever gives or takes a piece asks all at once, in one cache line.
 */

export type Bits = Int32Array;
/** The same for whoever only looks. */
export type SeenBits = {
  readonly length: number;
  readonly [word: number]: number;
  readonly [Symbol.toStringTag]: 'Int32Array';
  slice(): Bits;
};

/** Bytes for whoever only looks. */
export type SeenBytes = {
  readonly length: number;
  readonly [at: number]: number;
  readonly [Symbol.toStringTag]: 'Uint8Array';
};

export function bits(count: number): Bits {
  return new Int32Array((count + 31) >>> 5);
}

export function has(set: SeenBits, i: number): boolean {
  return ((set[i >>> 5]! >>> (i & 31)) & 1) === 1;
}

export function add(set: Bits, i: number): void {
  set[i >>> 5]! |= 1 << (i & 31);
}

export function remove(set: Bits, i: number): void {
  set[i >>> 5]! &= ~(1 << (i & 31));
}

/** Ones in a word. */
export function ones(word: number): number {
  let w = word - ((word >>> 1) & 0x55555555);
  w = (w & 0x33333333) + ((w >>> 2) & 0x33333333);
  return Math.imul((w + (w >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

export function countBits(set: SeenBits): number {
  let count = 0;
  for (let w = 0; w < set.length; w += 1) count += ones(set[w]!);
  return count;
}

/** Bits 0 to `count`, all set. */
export function full(count: number): Bits {
  const set = bits(count).fill(-1);
  if ((count & 31) !== 0) set[set.length - 1] = (1 << (count & 31)) - 1;
  return set;
}

/** From the wire's form: bit (i & 7) of byte i >> 3. Bits past `count` are ignored. */
export function fromBytes(bytes: Uint8Array, count: number): Bits {
  const set = bits(count);
  const used = Math.min(bytes.length, (count + 7) >>> 3);
  for (let i = 0; i < used; i += 1) set[i >>> 2]! |= bytes[i]! << ((i & 3) * 8);
  if ((count & 31) !== 0) set[set.length - 1]! &= (1 << (count & 31)) - 1;
  return set;
}

export function toBytes(set: SeenBits, count: number): Uint8Array {
  const bytes = new Uint8Array((count + 7) >>> 3);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = set[i >>> 2]! >>> ((i & 3) * 8);
  return bytes;
}

/** The first set bit at or after `from`, or -1. */
export function firstFrom(set: SeenBits, from: number): number {
  let w = from >>> 5;
  if (w >= set.length) return -1;
  let word = set[w]! & (-1 << (from & 31));
  while (word === 0) {
    w += 1;
    if (w >= set.length) return -1;
    word = set[w]!;
  }
  return (w << 5) + 31 - Math.clz32(word & -word);
}

/** For whoever only looks. */
export type SeenHoldings = Pick<Holdings, 'has' | 'of'> & {
  readonly counts: SeenBits;
  readonly bits: SeenBits;
  readonly places: number;
};

/** And how many pieces each holds that we lack and do not fetch. The i-th source has place i; one that has everything has no bits here. */
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

/** Of a blob of which no piece is known yet. */
export const noHoldings = (): SeenHoldings => new Holdings(0);
