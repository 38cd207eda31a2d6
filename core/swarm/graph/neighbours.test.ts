/** The graph: near-regular and connected, whatever joins and leaves. */

import { expect, test } from 'vitest';
import { Cluster, type TestBlob, type TestNode, testBlob } from '../testing/cluster.ts';
import { address, Solo } from '../testing/solo.ts';

const degree = 8;

/** Nodes that never finish: the origin hardly sends, so the graph can be looked at in peace. */
function slowHerd(seed: number, count: number): { cluster: Cluster; blob: TestBlob; agents: TestNode[] } {
  const cluster = new Cluster({ seed, uplinkBytesPerS: 2e5, handout: 10, policy: { neighboursPerBlobMax: degree } });
  const blob = testBlob(0, 2_000);
  cluster.seed(cluster.addNode('origin'), blob);
  const agents = Array.from({ length: count }, () => cluster.addNode('agent'));
  return { cluster, blob, agents };
}

function degrees(cluster: Cluster): number[] {
  return cluster.nodes.filter((node) => node.state === 'up').map((node) => node.swarm.stats(0)?.neighbours ?? 0);
}

/** Whether every living node can be reached from the first over open links. */
function connectedGraph(cluster: Cluster): boolean {
  const near = new Map<TestNode, TestNode[]>();
  for (const [a, b] of cluster.links()) {
    near.set(a, [...(near.get(a) ?? []), b]);
    near.set(b, [...(near.get(b) ?? []), a]);
  }
  const living = cluster.nodes.filter((node) => node.state === 'up');
  const reached = new Set<TestNode>([living[0]!]);
  for (const node of reached) for (const next of near.get(node) ?? []) reached.add(next);
  return reached.size === living.length;
}

function expectNearRegular(cluster: Cluster): void {
  const all = degrees(cluster);
  expect(Math.max(...all)).toBeLessThanOrEqual(degree + 4);
  // Of many seeds: 3 to 12 % are off, about 7 % on average.
  expect(all.filter((d) => d < degree - 2 || d > degree + 1).length).toBeLessThanOrEqual(all.length / 8);
  expect(all.reduce((a, b) => a + b) / all.length).toBeGreaterThan(degree - 1);
  expect(connectedGraph(cluster)).toBe(true);
}

test('a crowd that starts together', () => {
  const { cluster, blob, agents } = slowHerd(1, 100);
  for (const agent of agents) cluster.pull(agent, blob);
  cluster.run(10_000);
  expectNearRegular(cluster);
});

test('newcomers one by one into a full graph get their degree by edge offers', () => {
  const { cluster, blob, agents } = slowHerd(2, 60);
  for (const agent of agents.slice(0, 40)) cluster.pull(agent, blob);
  cluster.run(8_000);
  for (const agent of agents.slice(40)) {
    cluster.pull(agent, blob);
    cluster.run(500);
  }
  expect(cluster.messages.get('edgeTaken') ?? 0).toBeGreaterThan(20);
  cluster.run(5_000);
  expectNearRegular(cluster);
});

test('a third of the nodes is lost, and the trackers with them', () => {
  const { cluster, blob, agents } = slowHerd(3, 90);
  for (const agent of agents) cluster.pull(agent, blob);
  cluster.run(10_000);
  cluster.trackerUp = false;
  agents.forEach((agent, i) => {
    if (i % 3 === 0) cluster.crash(agent);
  });
  cluster.run(20_000);
  const all = degrees(cluster);
  expect(connectedGraph(cluster)).toBe(true);
  expect(all.reduce((a, b) => a + b) / all.length).toBeGreaterThan(degree - 2);
  expect(Math.min(...all)).toBeGreaterThanOrEqual(3);
});

test('nodes come and go all the time', () => {
  const { cluster, blob, agents } = slowHerd(4, 120);
  for (const agent of agents.slice(0, 60)) cluster.pull(agent, blob);
  cluster.run(6_000);
  for (let i = 0; i < 60; i += 1) {
    cluster.crash(agents[i]!, i % 5 === 0 ? 'silent' : 'down');
    cluster.pull(agents[60 + i]!, blob);
    cluster.run(300);
  }
  cluster.run(25_000);
  expectNearRegular(cluster);
});

test('a node keeps to its neighbours for a second blob that they have as well', () => {
  const cluster = new Cluster({ seed: 5 });
  const blobs = [testBlob(0, 200), testBlob(1, 200)];
  const origin = cluster.addNode('origin');
  for (const blob of blobs) cluster.seed(origin, blob);
  const agents = Array.from({ length: 40 }, () => cluster.addNode('agent'));
  for (const agent of agents) cluster.pull(agent, blobs[0]!);
  cluster.run(500);
  for (const agent of agents) cluster.pull(agent, blobs[1]!);
  cluster.run(1_000);
  const peers = agents.map((agent) => agent.swarm.totals.peers);
  // Two graphs that know nothing of each other would need about 27.
  expect(peers.reduce((sum, count) => sum + count, 0) / peers.length).toBeLessThan(23);
});

test('seeking backs off while nobody can be found, and starts at once', () => {
  const solo = new Solo();
  const blob = testBlob(0, 10);
  solo.input({
    kind: 'blob',
    blob: 0,
    digest: blob.digest,
    meta: undefined,
    hashes: undefined,
    have: undefined,
    pull: true,
  });
  const seeks = (): number => solo.out.filter((o) => o.kind === 'seek').length;
  expect(seeks()).toBe(1);
  solo.pass(10_000);
  const early = seeks();
  expect(early).toBeGreaterThan(4);
  expect(early).toBeLessThan(20);
  solo.pass(60_000);
  expect(seeks() - early).toBeLessThan(60);
});

test('a candidate that cannot be dialled rests, longer each time, and is dropped in the end', () => {
  const solo = new Solo();
  solo.pull(testBlob(0, 10), [address(1)]);
  const dials = (): number[] => solo.out.filter((o) => o.kind === 'dial').map((o) => o.link);
  for (let i = 0; i < 60; i += 1) {
    for (const link of dials()) solo.input({ kind: 'closed', link, why: 'refused' });
    solo.pass(2_000);
  }
  expect(dials().length).toBe(6);
});

test('a full node offers an edge; the newcomer takes it at both ends', () => {
  const solo = new Solo({ policy: { neighboursPerBlobMax: 2 } });
  const blob = testBlob(0, 10);
  solo.seed(blob);
  const open = (link: number, token: number, swarm = 0): void => {
    solo.say(link, { kind: 'open', swarm, digest: blob.digest, token, empty: true, needHashes: false });
  };
  const old = [1, 2].map((no) => solo.accept(address(no)));
  for (const link of old) open(link, 0);
  const newcomer = solo.accept(address(3));
  open(newcomer, 0);
  const offer = solo.sent(newcomer, 'edgeOffer')!;
  const q = old.find((link) => solo.sent(link, 'edgeReserve') !== undefined)!;
  expect(solo.sent(q, 'edgeReserve')).toMatchObject({ token: offer.token, node: address(3).node });
  // A wrong token is a newcomer like any other; the right one is let in though all is full.
  open(newcomer, offer.token);
  expect(solo.sent(newcomer, 'opened')?.all).toBe(true);
  expect(solo.allSent(q, 'edgeTaken')).toEqual([]);
  solo.say(q, { kind: 'edgeTaken', swarm: 0, token: offer.token });
  expect(solo.sent(q, 'edgeTaken')?.token).toBe(offer.token);
  solo.say(q, { kind: 'wants', swarms: [{ swarm: 0, count: 3 }], inPieces: 0, inBytes: 0 });
  expect(solo.sent(q, 'grant')).toBeUndefined();
  solo.say(q, { kind: 'close', swarm: 0 });
  expect(solo.swarm.stats(0)?.neighbours).toBe(2);
});

test('an offer that comes to nothing is forgotten and the edge stays', () => {
  const solo = new Solo({ policy: { neighboursPerBlobMax: 2 } });
  const blob = testBlob(0, 10);
  solo.seed(blob);
  const links = [1, 2, 3].map((no) => solo.accept(address(no)));
  for (const link of links)
    solo.say(link, { kind: 'open', swarm: 0, digest: blob.digest, token: 0, empty: true, needHashes: false });
  const { token } = solo.sent(links[2]!, 'edgeOffer')!;
  solo.pass(2_600);
  solo.say(links[2]!, { kind: 'open', swarm: 1, digest: blob.digest, token, empty: true, needHashes: false });
  expect(solo.sent(links[2]!, 'opened')).toBeUndefined();
  expect(solo.swarm.stats(0)?.neighbours).toBe(2);
});
