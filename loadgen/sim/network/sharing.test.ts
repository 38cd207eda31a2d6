import { expect, test } from 'vitest';
import { prng } from '../../../core/prng.ts';
import { Flows, Links } from './flows.ts';
import { Pipe } from './network.ts';
import { approach, fill, shareOut } from './sharing.ts';

/** Links by capacity; link 0 limits nothing. Flows by [up, down] or [up, down, out, into]. */
function scene(capacities: readonly number[], ways: readonly (readonly number[])[]): { flows: Flows; links: Links } {
  const links = new Links();
  links.add(Number.POSITIVE_INFINITY);
  for (const capacity of capacities) links.add(capacity);
  const flows = new Flows();
  for (const [up = 0, down = 0, out = 0, into = 0] of ways) {
    const flow = flows.add(new Pipe(0, 0), up, down);
    flows.out[flow] = out;
    flows.into[flow] = into;
  }
  return { flows, links };
}

function shares({ flows }: { flows: Flows }): number[] {
  return [...flows.share.subarray(0, flows.count)];
}

const cases: { name: string; capacities: number[]; ways: number[][]; expected: number[] }[] = [
  { name: 'one flow gets the narrower link', capacities: [10, 6], ways: [[1, 2]], expected: [6] },
  {
    name: 'an uplink is shared equally',
    capacities: [12, 100, 100, 100],
    ways: [
      [1, 2],
      [1, 3],
      [1, 4],
    ],
    expected: [4, 4, 4],
  },
  {
    name: 'what one is held back from, the other gets',
    capacities: [10, 2, 100],
    ways: [
      [1, 2],
      [1, 3],
    ],
    expected: [2, 8],
  },
  {
    // Downlink 3 is full of three flows; uplink 1 gives the rest to its second one; uplink 2 has room left.
    name: 'two levels',
    capacities: [10, 10, 6, 100],
    ways: [
      [1, 3],
      [2, 3],
      [2, 3],
      [1, 4],
    ],
    expected: [2, 2, 2, 8],
  },
  {
    name: 'a chain: each settled link frees the next',
    capacities: [3, 9, 9, 6],
    ways: [
      [1, 3],
      [2, 3],
      [2, 4],
      [2, 4],
    ],
    expected: [3, 3, 3, 3],
  },
  {
    name: 'a zone link holds back those that cross',
    capacities: [10, 10, 10, 10, 4, 100],
    ways: [
      [1, 3, 5, 6],
      [2, 4, 5, 6],
      [2, 3],
    ],
    expected: [2, 2, 8],
  },
];

test.each(cases)('exact: $name', ({ capacities, ways, expected }) => {
  const drawn = scene(capacities, ways);
  fill(drawn.flows, drawn.links);
  expect(shares(drawn)).toEqual(expected.map((share) => expect.closeTo(share, 9)));
});

test.each(cases)('nearly: $name', ({ capacities, ways, expected }) => {
  const drawn = scene(capacities, ways);
  for (let pass = 0; pass < 12; pass++) approach(drawn.flows, drawn.links, true);
  shareOut(drawn.flows, drawn.links, true);
  expect(shares(drawn)).toEqual(expected.map((share) => expect.closeTo(share, 6)));
});

function random(seed: number): { flows: Flows; links: Links } {
  const draw = prng(seed);
  const hosts = 4 + draw.below(40);
  const capacities = Array.from({ length: 2 * hosts }, () => (draw.below(4) === 0 ? 1 + draw.below(10) : 100));
  const ways = Array.from({ length: hosts * 6 }, () => [1 + draw.below(hosts), 1 + hosts + draw.below(hosts)]);
  return scene(capacities, ways);
}

test('exact: nobody can get more without taking from one that has no more', () => {
  for (let seed = 0; seed < 50; seed++) {
    const { flows, links } = random(seed);
    fill(flows, links);
    const used = new Float64Array(links.count);
    const most = new Float64Array(links.count);
    for (let f = 0; f < flows.count; f++) {
      for (const l of [flows.up[f] as number, flows.down[f] as number]) {
        used[l] = (used[l] as number) + (flows.share[f] as number);
        most[l] = Math.max(most[l] as number, flows.share[f] as number);
      }
    }
    for (let l = 1; l < links.count; l++) expect(used[l]).toBeLessThanOrEqual((links.capacity[l] as number) + 1e-6);
    for (let f = 0; f < flows.count; f++) {
      const share = flows.share[f] as number;
      const bottleneck = [flows.up[f] as number, flows.down[f] as number].some(
        (l) => (used[l] as number) > (links.capacity[l] as number) - 1e-6 && share > (most[l] as number) - 1e-6,
      );
      expect(bottleneck, `seed ${seed}, flow ${f}`).toBe(true);
    }
  }
});

test('nearly: from old levels two passes carry what max-min carries, within 3 percent', () => {
  for (let seed = 0; seed < 50; seed++) {
    const exact = random(seed);
    const near = random(seed);
    fill(exact.flows, exact.links);
    for (let pass = 0; pass < 20; pass++) approach(near.flows, near.links, false);
    // One flow in ten ends, as many begin elsewhere.
    for (const drawn of [exact, near]) {
      const draw = prng(seed + 1000);
      for (let i = 0; i < drawn.flows.count / 10; i++) {
        const at = draw.below(drawn.flows.count);
        drawn.flows.up[at] = 1 + draw.below((drawn.links.count - 1) / 2);
      }
    }
    fill(exact.flows, exact.links);
    for (let pass = 0; pass < 2; pass++) approach(near.flows, near.links, false);
    shareOut(near.flows, near.links, false);
    const sum = (all: number[]): number => all.reduce((total, share) => total + share, 0);
    expect(sum(shares(near)) / sum(shares(exact))).toBeGreaterThan(0.93);
    expect(sum(shares(near)) / sum(shares(exact))).toBeLessThan(1.07);
  }
});
