/**
 * Neighbours who all lack the same: each counts the others as neighbours, so none would ever dial the
 * one who has it. Whoever starves looks elsewhere, and whoever does not is left in peace.
 */

import { describe, expect, test } from 'vitest';
import { starvedMs, starvedMsMax } from '../limits.ts';
import { Cluster, type TestBlob, type TestNode, testBlob } from '../testing/cluster.ts';
import { address, Solo } from '../testing/solo.ts';
import type { LinkNo } from '../types.ts';

const blob = testBlob(0, 64);
const origin = address(99, 'origin');
const agents = Array.from({ length: 4 }, (_, i) => address(i + 1));

/** A puller whose neighbourhood of four is full of neighbours that hold `have`, and want nothing. */
function full(have: readonly number[], neighboursMax = 16): { solo: Solo; links: LinkNo[] } {
  const solo = new Solo({ policy: { neighboursPerBlobMax: 4, neighboursMax } });
  solo.pull(blob, agents);
  const links: LinkNo[] = [];
  const answered = new Set<string>();
  while (links.length < agents.length) {
    for (const peer of agents) {
      if (answered.has(peer.node) || dials(solo, peer.node) === 0) continue;
      answered.add(peer.node);
      links.push(solo.answer(peer));
      solo.opened(links.at(-1)!, blob, have);
    }
    solo.pass(50);
  }
  return { solo, links };
}

/** They say something now and then, as neighbours do. */
function pass(solo: Solo, ms: number, links: readonly LinkNo[]): void {
  for (let at = 0; at < ms; at += 500) {
    solo.pass(500);
    for (const link of links) solo.say(link, { kind: 'haves', swarm: 0, pieces: [], all: false });
  }
}

function dials(solo: Solo, node: string): number {
  return solo.out.filter((o) => o.kind === 'dial' && o.peer.node === node).length;
}

function seeks(solo: Solo): number {
  return solo.out.filter((o) => o.kind === 'seek').length;
}

function introduce(solo: Solo, peers: Parameters<Solo['pull']>[1]): void {
  solo.input({ kind: 'candidates', blob: 0, peers, meta: undefined });
}

describe('who starves', () => {
  test('asks the tracker and dials an origin, though it has its degree', () => {
    const { solo, links } = full([]);
    introduce(solo, [address(5), origin, address(6)]);
    const before = seeks(solo);
    pass(solo, starvedMs - 1_000, links);
    expect([dials(solo, origin.node), seeks(solo)]).toEqual([0, before]);
    pass(solo, 2_000, links);
    expect(seeks(solo)).toBeGreaterThan(before);
    expect(dials(solo, origin.node)).toBe(1);
    const link = solo.answer(origin);
    solo.opened(link, blob, 'all');
    expect(solo.sent(link, 'wants')?.swarms).toEqual([{ swarm: 0, count: 4 }]);
    expect(solo.sent(link, 'close')).toBeUndefined();
  });

  test('dials whom the tracker names only then', () => {
    const { solo, links } = full([]);
    pass(solo, starvedMs + 1_000, links);
    introduce(solo, [origin]);
    expect(dials(solo, origin.node)).toBe(1);
  });

  test('does so also where it has as many peers as it may', () => {
    const { solo, links } = full([], 4);
    introduce(solo, [origin]);
    pass(solo, starvedMs + 1_000, links);
    expect(dials(solo, origin.node)).toBe(1);
  });

  test('keeps none beyond the degree that has nothing for it', () => {
    const { solo, links } = full([]);
    introduce(solo, [address(5)]);
    pass(solo, starvedMs + 1_000, links);
    const link = solo.answer(address(5));
    solo.opened(link, blob, []);
    expect(solo.sent(link, 'close')).toBeDefined();
    expect(solo.swarm.stats(0)?.neighbours).toBe(4);
  });

  test('dials few in a round, and rounds get rarer', () => {
    const { solo, links } = full([]);
    const all = (): number => solo.out.filter((o) => o.kind === 'dial').length;
    const before = all();
    for (let i = 0; i < 120; i += 1) {
      const others = Array.from({ length: 32 }, (_, j) => address(100 + 32 * i + j));
      introduce(solo, others);
      for (const peer of others.filter(({ node }) => dials(solo, node) > 0)) {
        solo.opened(solo.answer(peer), blob, []);
      }
      pass(solo, 500, links);
    }
    // Rounds begin after 5, 15, 35 and 55 s.
    expect(all() - before).toBeGreaterThan(4);
    expect(all() - before).toBeLessThanOrEqual(8);
  });

  test('takes an edge offer beyond its degree from the second round on', () => {
    const offered = (ms: number): number => {
      const { solo, links } = full([]);
      pass(solo, ms, links);
      introduce(solo, [origin]);
      const link = solo.answer(origin);
      const { swarm } = solo.sent(link, 'open')!;
      solo.say(link, { kind: 'edgeOffer', swarm, peer: address(7), token: 5 });
      return dials(solo, address(7).node);
    };
    expect(offered(starvedMs + 1_000)).toBe(0);
    expect(offered(3 * starvedMs + 1_500)).toBe(1);
  });

  test('looks elsewhere too when the one origin that it has turns out to lack a piece', () => {
    const { solo, links } = full([]);
    introduce(solo, [origin]);
    pass(solo, starvedMs + 1_000, links);
    const link = solo.answer(origin);
    const one = solo.opened(link, blob, 'all');
    for (let piece = 0; piece < blob.meta.length / blob.meta.pieceLength; piece += 1) {
      solo.say(link, { kind: 'grant', grant: piece + 1, swarm: one, piece });
      solo.say(link, { kind: 'missing', grant: piece + 1, swarm: one, piece });
    }
    const other = address(98, 'origin');
    introduce(solo, [other]);
    pass(solo, 2 * starvedMs + 1_000, [...links, link]);
    expect(dials(solo, other.node)).toBeGreaterThan(0);
  });
});

test('who only waits for a slow neighbour is left in peace', () => {
  const { solo, links } = full([]);
  solo.say(links[0]!, { kind: 'haves', swarm: 0, pieces: [7], all: false });
  introduce(solo, [origin, address(5)]);
  const before = solo.out.filter((o) => o.kind === 'dial').length;
  const sought = seeks(solo);
  pass(solo, 6 * starvedMsMax, links);
  expect(seeks(solo)).toBe(sought);
  expect(solo.out.filter((o) => o.kind === 'dial').length).toBe(before);
  expect(solo.swarm.stats(0)?.neighbours).toBe(4);
});

describe('a swarm whose only origin is lost', () => {
  const many = testBlob(0, 100);

  function herd(seed: number, count: number, degree: number): { cluster: Cluster; pulling: TestNode[] } {
    const cluster = new Cluster({
      seed,
      uplinkBytesPerS: 4e6,
      policy: { neighboursPerBlobMax: degree, neighboursMax: degree + 2 },
    });
    const first = cluster.addNode('origin');
    cluster.seed(first, many);
    const pulling = Array.from({ length: count }, () => cluster.addNode('agent'));
    for (const agent of pulling) cluster.pull(agent, many);
    cluster.run(2_000);
    cluster.crash(first);
    return { cluster, pulling };
  }

  const incomplete = (pulling: readonly TestNode[]): number =>
    pulling.filter((agent) => !agent.completeMs.has(0)).length;

  for (const [count, degree] of [
    [17, 16],
    [12, 4],
    [40, 6],
  ] as const) {
    test(`${count} agents of degree ${degree} find the one that comes in its place`, () => {
      for (let seed = 1; seed <= 5; seed += 1) {
        const { cluster, pulling } = herd(seed, count, degree);
        // They make up for the lost neighbour among themselves, and wait.
        cluster.run(10_000);
        expect(incomplete(pulling)).toBe(count);
        cluster.seed(cluster.addNode('origin'), many);
        cluster.run(90_000, () => incomplete(pulling) === 0);
        expect(incomplete(pulling)).toBe(0);
        expect(cluster.nodes.flatMap((node) => node.faults)).toEqual([]);
      }
    });
  }
});

test('a swarm whose origin is slow keeps its graph', () => {
  const big: TestBlob = testBlob(0, 400);
  const degree = 8;
  const cluster = new Cluster({ seed: 7, uplinkBytesPerS: 2e5, policy: { neighboursPerBlobMax: degree } });
  cluster.seed(cluster.addNode('origin'), big);
  const pulling = Array.from({ length: 60 }, () => cluster.addNode('agent'));
  for (const agent of pulling) cluster.pull(agent, big);
  cluster.run(10_000);
  const opens = cluster.messages.get('open')!;
  cluster.run(60_000);
  expect(pulling.every((agent) => !agent.completeMs.has(0))).toBe(true);
  expect(cluster.messages.get('open')! - opens).toBeLessThan(pulling.length);
});
