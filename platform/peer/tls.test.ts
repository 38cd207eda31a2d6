/** Whole nodes over TLS: the same pull as over TCP, and nobody without a certificate of the authority takes part. */

import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { notOwn } from '../../core/access/announce.ts';
import { certificatesIn, factsOf } from '../certs/facts.ts';
import { revocationLists } from '../certs/make.ts';
import { TestAuthority } from '../certs/testing.fixtures.ts';
import { Credentials, type TlsMaterial } from '../net/credentials.ts';
import { tcp } from '../net/tcp.ts';
import { identities, showing } from '../net/testing/worlds.ts';
import { tls } from '../net/tls.ts';
import { NOBODIES, type TestCallers, testCallers, testCluster } from '../secure/callers.fixtures.ts';
import { whoIsIn } from '../secure/who.ts';
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

describe('certificates of a cluster', () => {
  const kept = new AsyncDisposableStack();
  let authority: TestAuthority;
  let callers: TestCallers;
  beforeAll(async () => {
    authority = kept.use(await TestAuthority.make());
    callers = await testCallers(authority, kept.use(await TestAuthority.make()));
  });
  afterAll(() => kept.disposeAsync());

  const crlOf = async (...who: TlsMaterial[]): Promise<string> => {
    const serials = who.flatMap(({ certificate }) => certificatesIn(certificate).map((one) => factsOf(one).serial));
    const { nowMs } = authority;
    return await revocationLists(authority.pair, serials, { fromMs: nowMs - 1e6, untilMs: nowMs + 1e8 });
  };
  const credentialsOf = (material: TlsMaterial): Credentials =>
    new Credentials(material, whoIsIn(testCluster, Date.now));

  test.each(NOBODIES)(
    '%s: the peer port gives it nothing, and it is fed by nobody',
    { timeout: 60_000 },
    async (who) => {
      const tracker = new MemoryTracker();
      const crl = [await crlOf(callers.material('revoked'))];
      const origin = await start(tracker, {
        role: 'origin',
        net: tls(credentialsOf({ ...callers.material('origin'), crl })),
      });
      const agent = await start(tracker, { net: tls(credentialsOf(callers.material(who))), learnMs: 1_500 });
      const blob = await seedBlob(origin, blobBytes);
      await expect(agent.node.pull(blob.digest).learned()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(origin.node.stats().peers).toEqual([]);
    },
  );

  test('who is revoked in the middle of a pull is fed no more, and the others go on', {
    timeout: 120_000,
  }, async () => {
    const tracker = new MemoryTracker();
    const credentials = credentialsOf({ ...callers.material('origin'), crl: [await crlOf()] });
    const origin = await start(tracker, { role: 'origin', net: tls(credentials), limits: { upBytesPerS: 4_000_000 } });
    const [bad, good] = [callers.material('agent'), callers.material('index')];
    const agents = await Promise.all(
      [bad, good].map((material) => start(tracker, { net: tls(credentialsOf(material)), stallMs: 2_000 })),
    );
    const blob = await seedBlob(origin, blobBytes);
    const [theirs, ours] = agents.map(({ node }) => node.pull(blob.digest));
    theirs?.complete.catch(() => undefined);
    await vi.waitFor(() => expect(origin.node.stats().links.accepted).toBe(2), 60_000);
    credentials.replace({ ...callers.material('origin'), crl: [await crlOf(bad)] });
    credentials.sweep(Date.now());
    await vi.waitFor(() => expect(origin.node.stats().links.accepted).toBe(1), 60_000);
    await ours?.complete;
    expect(Buffer.compare(await readBlob(agents[1] as TestNode, blob.digest), blob.bytes)).toBe(0);
    expect(origin.node.stats().links.accepted).toBeLessThanOrEqual(1);
  });
});
