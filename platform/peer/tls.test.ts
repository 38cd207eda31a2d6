/** Whole nodes over TLS: the same pull as over TCP, and nobody without a certificate of the authority takes part. */

import { afterEach, describe, expect, test } from 'vitest';
import { notOwn } from '../../core/access/announce.ts';
import type { TlsMaterial } from '../net/credentials.ts';
import { tcp } from '../net/tcp.ts';
import { identities, showing } from '../net/testing/worlds.ts';
import { MemoryTracker, readBlob, seedBlob, slotsLeft, startNode, type TestNode, totalOf } from './fixtures.ts';
import type { ForeignPeer } from './links/foreign.ts';

const blobBytes = 12 * 1024 * 1024 + 345;
const running: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function start(tracker: MemoryTracker, o: Parameters<typeof startNode>[1]): Promise<TestNode> {
  const node = await startNode(tracker, o);
  running.push(node);
  return node;
}

const [one, two, three] = identities(['one', 'two', 'three']) as [TlsMaterial, TlsMaterial, TlsMaterial];
const [stranger] = identities(['stranger']) as [TlsMaterial];

test('an origin and two agents: every byte, each piece verified, nothing leaks', { timeout: 60_000 }, async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin', net: showing(one) });
  const agents = [await start(tracker, { net: showing(two) }), await start(tracker, { net: showing(three) })];
  const blob = await seedBlob(origin, blobBytes);
  await Promise.all(agents.map((agent) => agent.node.pull(blob.digest).complete));
  for (const agent of agents) {
    expect(Buffer.compare(await readBlob(agent, blob.digest), blob.bytes)).toBe(0);
    expect(await totalOf(agent, 'peer_faults_total')).toBe(0);
  }
  for (const node of [origin, ...agents]) await expect.poll(() => slotsLeft(node)).toBe(0);
});

test.each([
  ['without TLS', tcp],
  ['of another authority', showing({ ...stranger, ca: one.ca })],
])('an agent %s gets nothing', { timeout: 60_000 }, async (_, net) => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin', net: showing(one) });
  const agent = await start(tracker, { net, learnMs: 1_500 });
  const blob = await seedBlob(origin, blobBytes);
  await expect(agent.node.pull(blob.digest).learned()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(origin.node.stats().peers).toEqual([]);
});

describe('who a peer says to be', () => {
  const marks: Record<string, string> = { one: '1'.repeat(16), two: '2'.repeat(16) };
  const foreign: ForeignPeer = (who, self) =>
    typeof who === 'object' ? notOwn(who, self, marks[who.name] ?? '') : (who ?? 'nobody');
  const nodeOf = (name: string, end: string): string => `${marks[name]}${end.repeat(16)}`;

  test.each([
    ['is what its certificate says: it is fed', 'agent', nodeOf('two', 'a'), true],
    ["is somebody else's node: it gets nothing", 'agent', nodeOf('one', 'a'), false],
    ['is an origin, with the certificate of an agent: it gets nothing', 'origin', nodeOf('two', 'a'), false],
  ] as const)('%s', { timeout: 60_000 }, async (_, role, nodeId, fed) => {
    const tracker = new MemoryTracker();
    const [as] = identities(['one'], 'origin') as [TlsMaterial];
    const both = { ca: [...as.ca, ...two.ca] };
    const origin = await start(tracker, {
      ...{ role: 'origin', net: showing({ ...as, ...both }), nodeId: nodeOf('one', 'b'), foreign },
    });
    const peer = await start(tracker, { role, net: showing({ ...two, ...both }), nodeId, foreign, learnMs: 1_500 });
    const blob = await seedBlob(origin, blobBytes);
    const pull = peer.node.pull(blob.digest);
    if (!fed) {
      await expect(pull.learned()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      return expect(origin.node.stats().peers).toEqual([]);
    }
    await pull.complete;
    expect(Buffer.compare(await readBlob(peer, blob.digest), blob.bytes)).toBe(0);
  });
});
