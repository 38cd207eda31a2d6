/** Whole nodes over TLS: the same pull as over TCP, and nobody without a certificate of the authority takes part. */

import { afterEach, expect, test } from 'vitest';
import { tcp } from '../net/tcp.ts';
import { identities } from '../net/testing/worlds.ts';
import { type TlsIdentity, tls } from '../net/tls.ts';
import { MemoryTracker, readBlob, seedBlob, slotsLeft, startNode, type TestNode, totalOf } from './fixtures.ts';

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

const [one, two, three] = identities(['one', 'two', 'three']) as [TlsIdentity, TlsIdentity, TlsIdentity];
const [stranger] = identities(['stranger']) as [TlsIdentity];

test('an origin and two agents: every byte, each piece verified, nothing leaks', { timeout: 60_000 }, async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin', net: tls(one) });
  const agents = [await start(tracker, { net: tls(two) }), await start(tracker, { net: tls(three) })];
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
  ['of another authority', tls({ ...stranger, authority: one.authority })],
])('an agent %s gets nothing', { timeout: 60_000 }, async (_, net) => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin', net: tls(one) });
  const agent = await start(tracker, { net, learnMs: 1_500 });
  const blob = await seedBlob(origin, blobBytes);
  await expect(agent.node.pull(blob.digest).learned()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(origin.node.stats().peers).toEqual([]);
});
