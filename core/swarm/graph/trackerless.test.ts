/** A swarm that no tracker puts together: everybody knows an origin, and the origin tells of the others. */

import { expect, test } from 'vitest';
import { openersMax } from '../limits.ts';
import { Cluster, type TestNode, testBlob } from '../testing/cluster.ts';
import { address, Solo } from '../testing/solo.ts';

const degree = 8;

/** Nodes reached from the first one over open links, those that are up in all. */
function reached(cluster: Cluster): number {
  const near = new Map<TestNode, TestNode[]>();
  for (const [a, b] of cluster.links()) {
    near.set(a, [...(near.get(a) ?? []), b]);
    near.set(b, [...(near.get(b) ?? []), a]);
  }
  const seen = new Set<TestNode>([cluster.nodes[0] as TestNode]);
  for (const node of seen) for (const next of near.get(node) ?? []) seen.add(next);
  return seen.size;
}

test.each([0, 1_000])('300 agents that know two origins find each other, come within %i ms', (withinMs) => {
  const policy = { neighboursPerBlobMax: degree, neighboursMax: 2 * degree };
  // Nobody finishes: the origins hardly send.
  const cluster = new Cluster({ seed: 7, uplinkBytesPerS: 2e5, policy });
  cluster.trackerUp = false;
  const blob = testBlob(0, 2_000);
  const origins = [cluster.addNode('origin'), cluster.addNode('origin')];
  for (const origin of origins) cluster.seed(origin, blob);
  const agents = Array.from({ length: 300 }, () => cluster.addNode('agent'));
  const peers = origins.map(({ self }) => self);
  for (const agent of agents) {
    cluster.at(cluster.prng.unit() * withinMs, () => {
      cluster.pull(agent, blob);
      cluster.input(agent, { kind: 'candidates', blob: 0, peers, meta: blob.meta });
    });
  }
  cluster.run(withinMs + 4_000);
  const degrees = agents.map(({ swarm }) => swarm.stats(0)?.neighbours ?? 0);
  // With a place for few links, those that had been refused kept the others out, who had nobody else to ask.
  expect(degrees.filter((d) => d < degree - 2).length).toBeLessThanOrEqual(agents.length / 20);
  expect(reached(cluster)).toBe(agents.length + origins.length);
});

function open(solo: Solo, no: number): number {
  const link = solo.accept(address(no));
  solo.say(link, { kind: 'open', swarm: 0, digest: testBlob(0, 10).digest, token: 0, empty: true, needHashes: false });
  return link;
}

/** Whom the answer to an Open names, however it does. */
function named(solo: Solo, link: number): number[] {
  const peers = [...(solo.sent(link, 'refuse')?.peers ?? []), ...(solo.sent(link, 'neighbours')?.peers ?? [])];
  return peers.map((peer) => peer.port - address(0).port);
}

test('a full origin names those that it feeds and those that it could not take, never always the same', () => {
  const solo = new Solo({ role: 'origin', policy: { neighboursPerBlobMax: 2, neighboursMax: 64 } });
  solo.seed(testBlob(0, 10));
  const answers = Array.from({ length: 40 }, (_, i) => ({ no: i + 1, link: open(solo, i + 1) }));
  const all = answers.slice(2).map(({ no, link }) => ({ no, names: named(solo, link) }));
  for (const { no, names } of all) {
    expect(names.length).toBeGreaterThan(0);
    expect(names.length).toBeLessThanOrEqual(8);
    expect(names).not.toContain(no);
    expect(new Set(names).size).toBe(names.length);
    expect(Math.max(...names)).toBeLessThan(no);
  }
  // Of the 39 that could be named most are, about equally often.
  const often = new Map<number, number>();
  for (const { names } of all) for (const name of names) often.set(name, (often.get(name) ?? 0) + 1);
  expect(often.size).toBeGreaterThan(30);
  const late = all.slice(20).flatMap(({ names }) => names);
  expect(Math.max(...[1, 2].map((no) => late.filter((name) => name === no).length))).toBeLessThan(late.length / 6);
  // A minute later nobody knows whether they are still there.
  solo.pass(70_000);
  expect(named(solo, open(solo, 50)).every((name) => name <= 2)).toBe(true);
});

test('of ten thousand that come a few are remembered', () => {
  const solo = new Solo({ role: 'origin', policy: { neighboursPerBlobMax: 2, neighboursMax: 64 } });
  solo.seed(testBlob(0, 10));
  for (let no = 1; no <= 10_000; no++) {
    const link = open(solo, no);
    solo.input({ kind: 'closed', link, why: 'gone' });
  }
  const names = new Set<number>();
  for (let no = 20_001; no < 20_001 + openersMax / 2; no++)
    for (const name of named(solo, open(solo, no))) names.add(name);
  expect(names.size).toBeGreaterThan(10);
  expect(Math.min(...names)).toBeGreaterThan(10_000 - openersMax);
});

test('where links are many, one that was refused and told of others makes room; none that carries something does', () => {
  const solo = new Solo({ role: 'origin', policy: { neighboursPerBlobMax: 2, neighboursMax: 2 } });
  solo.seed(testBlob(0, 10));
  const links = Array.from({ length: 68 }, (_, i) => open(solo, i + 1));
  const closed = (): number[] => solo.out.flatMap((o) => (o.kind === 'close' ? [o.link] : []));
  expect(closed()).toEqual([]);
  solo.pass(1);
  const late = open(solo, 100);
  expect(closed()).toEqual([links[2]]);
  expect(solo.sent(links[2] as number, 'goodbye')?.reason).toBe('idle');
  expect(named(solo, late).length).toBeGreaterThan(0);
  expect(solo.swarm.stats(0)?.neighbours).toBe(2);
  // Who has not asked yet is not closed for who comes: then there is no room indeed.
  const silent = new Solo({ role: 'origin', policy: { neighboursPerBlobMax: 2, neighboursMax: 2 } });
  silent.seed(testBlob(0, 10));
  for (let no = 1; no <= 68; no++) silent.accept(address(no));
  const more = silent.accept(address(100));
  expect(silent.sent(more, 'goodbye')?.reason).toBe('full');
});
