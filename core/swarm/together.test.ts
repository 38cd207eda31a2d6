/** Many ask for the same blobs at the same moment, when only the origin knows what they consist of: nobody waits for another who waits. */

import { expect, test } from 'vitest';
import { Cluster, type ClusterOptions, type TestBlob, type TestNode, testBlob } from './testing/cluster.ts';

/** Virtual. The pieces themselves take 20 agents about 0.2 s. */
const limitMs = 1_500;

type Case = {
  readonly agents: number;
  readonly pieces: readonly number[];
  readonly degree: number;
  readonly seeds: number;
};
const cases: Case[] = [];
for (const agents of [8, 13, 20]) {
  for (const pieces of [[1], [2], [13], [1, 2, 13]]) cases.push({ agents, pieces, degree: 16, seeds: 8 });
}
// Degrees that neighbours who wait as well can fill.
for (const agents of [8, 20]) cases.push({ agents, pieces: [1, 13], degree: 4, seeds: 40 });

type All = { readonly cluster: Cluster; readonly agents: TestNode[]; readonly blobs: TestBlob[] };

function all({ agents, pieces, degree }: Case, options: ClusterOptions): All {
  const cluster = new Cluster({ policy: { neighboursPerBlobMax: degree }, handout: 32, ...options });
  const blobs = pieces.map((count, no) => testBlob(no, count));
  const origin = cluster.addNode('origin');
  for (const blob of blobs) cluster.seed(origin, blob);
  return { cluster, blobs, agents: Array.from({ length: agents }, () => cluster.addNode('agent')) };
}

/** Everybody knows of everybody and of the origin; of the metainfo too, or only where a tracker tells. */
function introduce({ cluster, agents }: All, blob: TestBlob, meta: boolean): void {
  const peers = cluster.nodes.map((node) => node.self);
  for (const agent of agents)
    cluster.input(agent, { kind: 'candidates', blob: blob.no, peers, meta: meta ? blob.meta : undefined });
}

function waiting({ agents, blobs }: All): string[] {
  return agents.flatMap((agent) =>
    blobs
      .filter((blob) => !agent.completeMs.has(blob.no))
      .map((blob) => `${agent.self.host}: ${blob.no} ${agent.learned.has(blob.no) ? 'known' : 'unknown'}`),
  );
}

function expectSoon(of: Case, options: Omit<ClusterOptions, 'seed'>, ask: (at: All) => void): void {
  const late: string[] = [];
  for (let seed = 1; seed <= of.seeds; seed += 1) {
    const at = all(of, { seed, ...options });
    ask(at);
    at.cluster.run(limitMs, () => waiting(at).length === 0);
    if (waiting(at).length > 0) late.push(`seed ${seed}: ${waiting(at).join(', ')}`);
    expect(at.cluster.nodes.flatMap((node) => node.faults)).toEqual([]);
  }
  expect(late).toEqual([]);
}

test.each(cases)('$agents agents, $pieces pieces, degree $degree: introduced before a tracker answers', (of) => {
  expectSoon(of, {}, (at) => {
    for (const agent of at.agents) for (const blob of at.blobs) at.cluster.pull(agent, blob);
    for (const blob of at.blobs) introduce(at, blob, false);
  });
});

test.each(cases)('$agents agents, $pieces pieces, degree $degree: with the metainfo, without a tracker', (of) => {
  expectSoon(of, {}, (at) => {
    at.cluster.trackerUp = false;
    for (const blob of at.blobs) {
      for (const agent of at.agents) at.cluster.pull(agent, blob);
      introduce(at, blob, true);
    }
  });
});

test.each(cases)('$agents agents, $pieces pieces, degree $degree: linked already, one blob after the other', (of) => {
  expectSoon(of, { latencyMs: 2 }, (at) => {
    for (const [i, blob] of at.blobs.entries()) {
      at.cluster.at(i * 20, () => {
        for (const agent of at.agents) at.cluster.pull(agent, blob);
      });
    }
  });
});
