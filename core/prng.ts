/** Randomness as an argument: equal seeds give equal choices, so that a run can be replayed. */

export type Prng = {
  /** A uniform integer in [0, bound); `bound` is 1 to 2^31. */
  below(bound: number): number;
  /** A uniform number in [0, 1). */
  unit(): number;
};

/** xoshiro128** by Blackman and Vigna, seeded by splitmix32 from a 32-bit seed. */
export function prng(seed: number): Prng {
  let mix = seed | 0;
  const next = (): number => {
    mix = (mix + 0x9e3779b9) | 0;
    let z = Math.imul(mix ^ (mix >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  let a = next();
  let b = next();
  let c = next();
  let d = next();
  const u32 = (): number => {
    const x = Math.imul(b, 5);
    const result = Math.imul((x << 7) | (x >>> 25), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = (d << 11) | (d >>> 21);
    return result;
  };
  return {
    below: (bound) => Math.floor((u32() / 0x1_0000_0000) * bound),
    unit: () => u32() / 0x1_0000_0000,
  };
}
