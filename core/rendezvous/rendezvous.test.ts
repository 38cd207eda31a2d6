import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { combine, drawOf, hashText, unitOf } from './hash.ts';
import { Rendezvous } from './rendezvous.ts';

const keys = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `sha256:${i.toString(16).padStart(64, '0')}`);
const nodes = (count: number): string[] => Array.from({ length: count }, (_, i) => `http://10.0.0.${i}:15002`);

/** Pearson's statistic of `counts` against equal shares. */
function chiSquare(counts: readonly number[]): number {
  const expected = counts.reduce((sum, n) => sum + n, 0) / counts.length;
  return counts.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
}

describe('hash', () => {
  test('is the same for ever: placement on disks depends on it', () => {
    expect(hashText('')).toEqual({ hi: 1050259596, lo: -1082149373 });
    expect(hashText('http://127.0.0.1:15002')).toEqual({ hi: -1302391686, lo: -461353966 });
  });

  test('flipping one character flips about half of the bits', () => {
    const bits = (word: number): number => word.toString(2).replaceAll('0', '').length;
    let flipped = 0;
    for (const key of keys(1000)) {
      const one = hashText(key);
      const two = hashText(`${key.slice(0, -1)}x`);
      flipped += bits((one.hi ^ two.hi) >>> 0) + bits((one.lo ^ two.lo) >>> 0);
    }
    expect(flipped / 1000).toBeGreaterThan(31);
    expect(flipped / 1000).toBeLessThan(33);
  });

  test('sequential keys fill both halves evenly', () => {
    const high = new Array<number>(64).fill(0);
    const low = new Array<number>(64).fill(0);
    for (const key of keys(64_000)) {
      const { hi, lo } = hashText(key);
      high[hi >>> 26]!++;
      low[lo & 63]!++;
    }
    // 63 degrees of freedom: 110 is passed by chance once in 5,000 times.
    expect(chiSquare(high)).toBeLessThan(110);
    expect(chiSquare(low)).toBeLessThan(110);
  });

  test('has no collisions among 200,000 keys', () => {
    const seen = new Set<string>();
    for (const key of keys(200_000)) {
      const { hi, lo } = hashText(key);
      seen.add(`${hi}.${lo}`);
    }
    expect(seen.size).toBe(200_000);
  });

  test('combined and turned into a number it stays strictly within 0 and 1', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (one, two) => {
        const unit = unitOf(combine(hashText(one), hashText(two)));
        expect(unit).toBeGreaterThan(0);
        expect(unit).toBeLessThan(1);
        expect(drawOf(hashText(one), hashText(two))).toBe(unit);
      }),
    );
    expect(unitOf({ hi: 0, lo: 0 })).toBeGreaterThan(0);
    expect(unitOf({ hi: -1, lo: -1 })).toBeLessThan(1);
  });
});

describe('rendezvous', () => {
  test('shares keys evenly', () => {
    for (const count of [2, 3, 5, 10]) {
      const rendezvous = Rendezvous.of(nodes(count));
      const owned = new Map(nodes(count).map((id) => [id, 0]));
      for (const key of keys(20_000))
        owned.set(rendezvous.pick(key, 1)[0]!, owned.get(rendezvous.pick(key, 1)[0]!)! + 1);
      // At most 9 degrees of freedom: 30 is passed by chance once in 2,000 times; the keys are fixed.
      expect(chiSquare([...owned.values()])).toBeLessThan(30);
    }
  });

  test('shares keys by weight', () => {
    const rendezvous = new Rendezvous([
      { id: 'a', weight: 1 },
      { id: 'b', weight: 2 },
      { id: 'c', weight: 5 },
    ]);
    const owned = { a: 0, b: 0, c: 0 };
    for (const key of keys(40_000)) owned[rendezvous.pick(key, 1)[0] as 'a' | 'b' | 'c']++;
    expect(owned.a / 5000).toBeCloseTo(1, 1);
    expect(owned.b / 10_000).toBeCloseTo(1, 1);
    expect(owned.c / 25_000).toBeCloseTo(1, 1);
  });

  test('a node that joins or leaves moves only its own keys', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 3 }), fc.nat(), (count, copies, which) => {
        const all = nodes(count + 1);
        const gone = all[which % all.length]!;
        const before = Rendezvous.of(all);
        const after = Rendezvous.of(all.filter((id) => id !== gone));
        for (const key of keys(50)) {
          const rank = before.pick(key).filter((id) => id !== gone);
          expect(after.pick(key, copies)).toEqual(rank.slice(0, copies));
        }
      }),
      { numRuns: 50 },
    );
  });

  test('a heavier node only gains', () => {
    const light = new Rendezvous(nodes(5).map((id) => ({ id, weight: 1 })));
    const heavy = new Rendezvous(nodes(5).map((id, i) => ({ id, weight: i === 0 ? 3 : 1 })));
    for (const key of keys(2000)) {
      const [was, is] = [light.pick(key, 1)[0], heavy.pick(key, 1)[0]];
      if (was !== is) expect(is).toBe(nodes(5)[0]);
    }
  });

  test('does not depend on the order of the list', () => {
    const rendezvous = Rendezvous.of(nodes(7));
    const turned = Rendezvous.of(nodes(7).reverse());
    for (const key of keys(200)) expect(turned.pick(key, 3)).toEqual(rendezvous.pick(key, 3));
  });

  test('owners are different, and all nodes where more are asked for', () => {
    const rendezvous = Rendezvous.of(nodes(3));
    expect(new Set(rendezvous.pick('k', 3)).size).toBe(3);
    expect(rendezvous.pick('k', 9)).toHaveLength(3);
    expect(rendezvous.owns('k', rendezvous.pick('k')[0]!, 1)).toBe(true);
    expect(rendezvous.owns('k', rendezvous.pick('k')[2]!, 2)).toBe(false);
    expect(Rendezvous.of([]).pick('k', 2)).toEqual([]);
  });

  test('refuses what cannot be meant', () => {
    expect(() => Rendezvous.of(['a', 'a'])).toThrow('a is listed twice');
    expect(() => new Rendezvous([{ id: 'a', weight: 0 }])).toThrow('the weight of a must be above 0');
    expect(() => new Rendezvous([{ id: 'a', weight: Number.NaN }])).toThrow('above 0');
  });
});
