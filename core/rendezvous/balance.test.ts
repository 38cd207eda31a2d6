/** What a cluster may rely on in placement: shares within 5 percent of what weights say, and as little that moves as can be. */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Rendezvous, type RingNode } from './rendezvous.ts';

const copies = 3;
const within = 0.05;

/** Ids as origins draw them: 32 hex digits. */
const idOf = (no: number): string => (BigInt(no + 1) * 0x9e3779b97f4a7c15f39cc0605cedc835n).toString(16).slice(-32);
const keyOf = (no: number): string => `sha256:${no.toString(16).padStart(64, '0')}`;
const equals = (count: number): RingNode[] => Array.from({ length: count }, (_, no) => ({ id: idOf(no), weight: 1 }));

/** How far the worst node is from its share of the `copies` first owners of `keys` keys, over its share. */
function worst(nodes: readonly RingNode[], keys: number, share: (node: RingNode) => number, count = copies): number {
  const ring = new Rendezvous(nodes);
  const owned = new Map(nodes.map(({ id }) => [id, 0]));
  for (let no = 0; no < keys; no++)
    for (const id of ring.pick(keyOf(no), count)) owned.set(id, (owned.get(id) as number) + 1);
  return Math.max(...nodes.map((node) => Math.abs((owned.get(node.id) as number) / (keys * share(node)) - 1)));
}

describe('balance', () => {
  // So many keys that chance alone leaves 500 shares within 5 percent: 6,000 a node, whose deviation is 1.3 percent.
  test.each([
    [10, copies],
    [30, copies],
    [100, copies],
    [500, 8],
  ])('%i nodes, %i owners: each within 5 percent of its share', { timeout: 120_000 }, (count, owners) => {
    const keys = Math.ceil((count * 6_000) / owners);
    expect(worst(equals(count), keys, () => owners / count, owners)).toBeLessThan(within);
  });

  test('by weights: each within 5 percent of its share of first owners', { timeout: 120_000 }, () => {
    const nodes = equals(20).map((node, no) => ({ ...node, weight: [0.5, 1, 2, 4][no % 4] as number }));
    const sum = nodes.reduce((all, { weight }) => all + weight, 0);
    expect(worst(nodes, 600_000, ({ weight }) => weight / sum, 1)).toBeLessThan(within);
  });
});

describe('movement', () => {
  const sizes = fc.constantFrom(10, 37, 120, 500);
  const seeds = fc.integer({ min: 0, max: 1_000_000 });
  const weights = [0.5, 1, 1, 2, 3];
  const some = (count: number, seed: number): RingNode[] =>
    equals(count).map((node, no) => ({ ...node, weight: weights[(no + seed) % weights.length] as number }));
  const sampled = (seed: number): string[] => Array.from({ length: 40 }, (_, no) => keyOf(seed * 1_000 + no));

  test('who joins takes keys for itself only; who leaves loses its own only, and nobody else any', () => {
    fc.assert(
      fc.property(sizes, seeds, fc.nat(), (count, seed, which) => {
        const all = some(count, seed);
        const gone = (all[which % count] as RingNode).id;
        const [before, after] = [new Rendezvous(all), new Rendezvous(all.filter(({ id }) => id !== gone))];
        for (const key of sampled(seed)) {
          const [had, has] = [before.pick(key, copies), after.pick(key, copies)];
          const kept = had.filter((id) => id !== gone);
          expect(has.slice(0, kept.length)).toEqual(kept);
          if (!had.includes(gone)) expect(has).toEqual(had);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('another weight moves keys to or from that node only', () => {
    fc.assert(
      fc.property(sizes, seeds, fc.nat(), fc.constantFrom(0.25, 0.9, 1.1, 5), (count, seed, which, factor) => {
        const all = some(count, seed);
        const changed = (all[which % count] as RingNode).id;
        const other = all.map((node) => (node.id === changed ? { ...node, weight: node.weight * factor } : node));
        const [before, after] = [new Rendezvous(all), new Rendezvous(other)];
        for (const key of sampled(seed)) {
          const [had, has] = [before.pick(key, copies), after.pick(key, copies)];
          const others = (ids: string[]): string[] => ids.filter((id) => id !== changed);
          // Among all others the order stays; the one that changed comes in, or goes, and at most one makes room for it.
          const [one, two] = [others(had), others(has)].toSorted((a, b) => a.length - b.length) as [string[], string[]];
          expect(two.slice(0, one.length)).toEqual(one);
          if (factor > 1 && had.includes(changed)) expect(has).toContain(changed);
          if (factor < 1 && !had.includes(changed)) expect(has).toEqual(had);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('the few best are the first of all, also where weights differ', () => {
    fc.assert(
      fc.property(sizes, seeds, fc.integer({ min: 0, max: 12 }), (count, seed, few) => {
        const ring = new Rendezvous(some(count, seed));
        for (const key of sampled(seed).slice(0, 5)) expect(ring.pick(key, few)).toEqual(ring.pick(key).slice(0, few));
      }),
      { numRuns: 40 },
    );
  });
});
