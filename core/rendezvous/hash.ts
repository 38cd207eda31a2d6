/**
 * A fast 64-bit hash of strings for placement, in two 32-bit halves, since JavaScript has no cheap
 * 64-bit integers. Not for secrets: an adversary can find collisions.
 *
 * Rule 1: equal on every machine and in every version of Shoal: placement depends on it. The tests
 * pin known values.
 */

export type Hash64 = { readonly hi: number; readonly lo: number };

/** Two lanes of MurmurHash3's 32-bit body over UTF-16 code units, crossed and finalised. */
export function hashText(text: string, seed = 0): Hash64 {
  let a = (seed ^ 0x9e3779b9) | 0;
  let b = (seed ^ 0x85ebca6b) | 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = step(a, Math.imul(unit, 0xcc9e2d51));
    b = step(b, Math.imul(unit ^ 0x5bd1, 0x1b873593));
  }
  return mix(a ^ text.length, b ^ Math.imul(text.length, 0x27d4eb2f));
}

/** One hash of two, where the order matters. */
export function combine(one: Hash64, two: Hash64): Hash64 {
  return mix(one.hi ^ rotate(two.lo, 13), one.lo ^ Math.imul(two.hi, 0x9e3779b1));
}

/** `unitOf(combine(one, two))`, without a value in between: it is made of each member for each key that is placed. */
export function drawOf(one: Hash64, two: Hash64): number {
  let a = one.hi ^ rotate(two.lo, 13);
  let b = one.lo ^ Math.imul(two.hi, 0x9e3779b1);
  a = finalise(a ^ rotate(b, 16));
  b = finalise((b + a) ^ 0x7f4a7c15);
  a = finalise(a ^ rotate(b, 16));
  b = finalise((b + a) ^ 0x7f4a7c15);
  return unit(a, b);
}

/** The upper 52 bits as a number strictly between 0 and 1. */
export function unitOf({ hi, lo }: Hash64): number {
  return unit(hi, lo);
}

function unit(hi: number, lo: number): number {
  return ((hi >>> 0) * 0x10_0000 + (lo >>> 12) + 0.5) / 0x10_0000_0000_0000;
}

function mix(hi: number, lo: number): Hash64 {
  let a = hi;
  let b = lo;
  for (let round = 0; round < 2; round++) {
    a = finalise(a ^ rotate(b, 16));
    b = finalise((b + a) ^ 0x7f4a7c15);
  }
  return { hi: a, lo: b };
}

function step(state: number, word: number): number {
  return (Math.imul(rotate(state ^ rotate(word, 15), 13), 5) + 0xe6546b64) | 0;
}

/** MurmurHash3's finaliser with the better constants of "lowbias32" by C. Wellons. */
function finalise(word: number): number {
  let z = word;
  z = Math.imul(z ^ (z >>> 16), 0x7feb352d);
  z = Math.imul(z ^ (z >>> 15), 0x846ca68b);
  return z ^ (z >>> 16);
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}
