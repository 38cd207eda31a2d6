/** The faults of a run: the same seed gives the same ones at the same times. Pure. */
import { type Prng, prng } from '../../../../core/prng.ts';
import { ABOUT, allows, type Fault, indexSecondsMax, KINDS, type Kind, overMs, WEIGHTS } from './faults.ts';
import type { Node } from './topology.ts';

export type Wanted = {
  readonly seed: number;
  readonly nodes: readonly Node[];
  /** No fault lasts beyond it. */
  readonly untilMs: number;
  /** One begins every so often, on average. */
  readonly everyMs: number;
  /** Left out: all. */
  readonly kinds?: readonly Kind[];
};

/** The cluster is warm by then: some images are there to be pulled. */
const firstMs = 3_000;
/** What the rules forbid is drawn anew; after so often nothing happens this time. */
const drawsMax = 40;

export function planFaults({ seed, nodes, untilMs, everyMs, kinds = KINDS }: Wanted): Fault[] {
  const random = prng(seed);
  const cluster = new Map(nodes.map((node) => [node.name, node]));
  const faults: Fault[] = [];
  for (let atMs = firstMs; atMs < untilMs; atMs += Math.round(everyMs * (0.5 + random.unit()))) {
    for (let draws = 0; draws < drawsMax; draws++) {
      const next = draw(random, { nodes, kinds, no: faults.length + 1, atMs });
      const now = faults.filter((fault) => overMs(fault) > atMs);
      if (atMs + next.forMs > untilMs || !allows(cluster, now, next)) continue;
      faults.push(next);
      break;
    }
  }
  return faults;
}

type Drawn = {
  readonly nodes: readonly Node[];
  readonly kinds: readonly Kind[];
  readonly no: number;
  readonly atMs: number;
};

function draw(random: Prng, { nodes, kinds, no, atMs }: Drawn): Fault {
  const kind = weighted(random, kinds, (kind) => ABOUT[kind].weight);
  const { roles, seconds, amount } = ABOUT[kind];
  const role = weighted(random, roles, (role) => WEIGHTS[role]);
  const target = one(
    random,
    nodes.filter((node) => node.role === role),
  );
  const others = nodes.filter((node) => node.role !== 'index' && node.name !== target.name);
  const [min, max] = seconds;
  const longest = role === 'index' ? Math.min(max, indexSecondsMax) : max;
  const forMs = Math.round(1_000 * between(random, [Math.min(min, longest), longest]));
  return {
    ...{ no, kind, target: target.name, atMs, forMs },
    ...(kind === 'split' && { peer: one(random, others).name }),
    amount: amount === undefined ? 0 : Math.round(between(random, amount)),
  };
}

const between = (random: Prng, [min, max]: readonly [number, number]): number => min + random.unit() * (max - min);
const one = <T>(random: Prng, among: readonly T[]): T => among[random.below(among.length)] as T;

function weighted<T>(random: Prng, among: readonly T[], weight: (it: T) => number): T {
  let left = random.below(among.reduce((sum, it) => sum + weight(it), 0));
  for (const it of among) {
    left -= weight(it);
    if (left < 0) return it;
  }
  throw new Error('there is nothing to draw from');
}
