/** Plans of faults: the same by the same seed, and none that the rules forbid, seen from the plan alone. */
import { describe, expect, test } from 'vitest';
import { ABOUT, allows, type Fault, KINDS, overMs } from './faults.ts';
import { planFaults } from './plan.ts';
import { nodesOf, whole } from './topology.ts';

const nodes = nodesOf(whole);
const cluster = new Map(nodes.map((node) => [node.name, node]));
const untilMs = 300_000;
const planOf = (seed: number): Fault[] => planFaults({ seed, nodes, untilMs, everyMs: 4_000 });
const seeds = Array.from({ length: 50 }, (_, n) => n + 1);
const roleOf = (name: string | undefined) => (name === undefined ? undefined : cluster.get(name)?.role);

/** The most origins that somebody misses at once. */
function originsAway(faults: readonly Fault[]): number {
  const away = faults.filter(
    ({ kind, target, peer }) => ABOUT[kind].down && [roleOf(target), roleOf(peer)].includes('origin'),
  );
  return Math.max(0, ...away.map(({ atMs }) => away.filter((it) => it.atMs <= atMs && overMs(it) > atMs).length));
}

describe('a plan', () => {
  test('is decided by its seed', () => {
    expect(planOf(7)).toEqual(planOf(7));
    expect(planOf(7)).not.toEqual(planOf(8));
  });

  test.each(seeds)('of seed %i goes on to the end, and ends', (seed) => {
    const faults = planOf(seed);
    expect(faults.length).toBeGreaterThan(50);
    expect(faults.map(({ no }) => no)).toEqual(faults.map((_, n) => n + 1));
    for (const { kind, target, atMs, forMs } of faults) {
      expect(ABOUT[kind].roles).toContain(roleOf(target));
      expect(atMs + forMs).toBeLessThanOrEqual(untilMs);
    }
  });

  test.each(seeds)('of seed %i takes no more than one origin away at once', (seed) => {
    expect(originsAway(planOf(seed))).toBe(1);
  });

  test('of some seed or other has every kind, of each role that may have it', () => {
    const seen = new Set(seeds.flatMap((seed) => planOf(seed).map(({ kind, target }) => `${kind} ${roleOf(target)}`)));
    expect([...seen].toSorted()).toEqual(
      KINDS.flatMap((kind) => ABOUT[kind].roles.map((r) => `${kind} ${r}`)).toSorted(),
    );
  });
});

describe('the rules', () => {
  const fault = (given: Partial<Fault>): Fault => ({
    ...{ no: 1, kind: 'kill', target: 'origin-1', atMs: 0, forMs: 9_000, amount: 0 },
    ...given,
  });
  const forbids = (now: Fault, next: Fault): boolean => !allows(cluster, [now], next);

  test.each([
    ['two origins down', fault({}), fault({ kind: 'stop', target: 'origin-2' }), true],
    [
      'one down, and one that a proxy does not reach',
      fault({}),
      fault({ kind: 'split', target: 'proxy-1', peer: 'origin-2' }),
      true,
    ],
    ['two faults of one host', fault({ kind: 'clock' }), fault({ kind: 'lossy' }), true],
    ['both proxies down', fault({ target: 'proxy-1' }), fault({ kind: 'cut', target: 'proxy-2' }), true],
    ['one origin down, and one that is slow', fault({}), fault({ kind: 'shaped', target: 'origin-2' }), false],
    ['one origin down, and the index', fault({}), fault({ target: 'index-1' }), false],
    ['two trackers down', fault({ target: 'tracker-1' }), fault({ target: 'tracker-2' }), false],
  ])('%s', (_what, now, next, forbidden) => {
    expect(forbids(now, next)).toBe(forbidden);
  });
});
