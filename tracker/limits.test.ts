/** A client that announces a million blobs that nobody has: refused by name, within bounds, and nobody else's harm. */

import { afterEach, expect, test } from 'vitest';
import { type AnnounceEntry, announceEntriesMax } from '../core/contracts/tracker.ts';
import { testDigest, testMeta, testPeer } from '../core/handout/fixtures.ts';
import { handoutLimits } from '../core/handout/limits.ts';
import { lookupsAtOnce } from './allowance.ts';
import { FakeOrigin } from './testing/fake-origin.ts';
import { startTracker } from './testing/tracker.ts';

let stack = new AsyncDisposableStack();
afterEach(async () => {
  await stack.disposeAsync();
  stack = new AsyncDisposableStack();
});

const entries = (from: number, seek: number, state: 'want' | 'have' = 'want'): AnnounceEntry[] =>
  Array.from({ length: announceEntriesMax }, (_, i) => ({ digest: testDigest(1_000_000 + from + i), state, seek }));

test('bogus leases are refused by name beyond the limit of a client, and others are served as before', async () => {
  const origin = await new FakeOrigin(1).start(stack);
  const blob = testDigest(1);
  origin.hold(blob, 1e9);
  const limits = { ...handoutLimits, client: { leases: 5_000, nodes: 3 } };
  const { announce, state } = await startTracker(stack, [origin], { limits });
  const first = await announce(testPeer(1), entries(0, 0), '10.0.0.7');
  expect(first.limit).toBeUndefined();
  const texts = new Set<string | undefined>();
  for (let batch = 1; batch < 20; batch++)
    texts.add((await announce(testPeer(batch), entries(batch * announceEntriesMax, 0), '10.0.0.7')).limit);
  expect(state.handout.stats).toMatchObject({ leases: 5_000, nodes: 3 });
  expect([...texts].join('\n')).toContain(
    "the tracker's limits.client.leases (5000) of the client 10.0.0.7 is reached",
  );
  expect([...texts].join('\n')).toContain('limits.client.nodes (3)');
  expect([...texts].join('\n')).toContain('`trustedProxies`');
  // Of the other one everything is kept, and it gets its neighbours.
  for (const no of [100, 101]) {
    const { answers, limit } = await announce(testPeer(no), [{ digest: blob, state: 'want', seek: 8 }], '10.0.0.8');
    expect(limit).toBeUndefined();
    expect(answers[0]).toMatchObject({ meta: testMeta(1e9), peers: expect.arrayContaining([origin.peer]) });
  }
  expect(state.handout.stats.leases).toBe(5_002);
});

test('what a client asks for that no origin has is not asked of the origins for long', async () => {
  const origin = await new FakeOrigin(1).start(stack);
  const blob = testDigest(1);
  origin.hold(blob, 1e9);
  const { announce, allowance } = await startTracker(stack, [origin]);
  const replies = [];
  for (let batch = 0; batch < 3; batch++)
    replies.push(await announce(testPeer(batch), entries(batch * announceEntriesMax, 1), '10.0.0.7'));
  expect(new Set(origin.asked).size).toBe(lookupsAtOnce);
  expect(allowance.refused).toBe(3 * announceEntriesMax - lookupsAtOnce);
  const answers = replies.flatMap((reply) => reply.answers);
  expect(answers.filter(({ error }) => error === 'unknown')).toHaveLength(lookupsAtOnce);
  expect(answers.filter(({ error }) => error === 'unavailable')).toHaveLength(3 * announceEntriesMax - lookupsAtOnce);
  expect(replies[0]?.limit).toContain('limits.client.lookups (256)');
  const { answers: honest } = await announce(testPeer(9), [{ digest: blob, state: 'want', seek: 8 }], '10.0.0.8');
  expect(honest[0]).toMatchObject({ meta: testMeta(1e9), peers: [origin.peer] });
});

test('whoever is at a limit waits for its answer; nobody else does', async () => {
  const origin = await new FakeOrigin(1).start(stack);
  const limits = { ...handoutLimits, client: { leases: 5, nodes: 3 } };
  const { announce } = await startTracker(stack, [origin], { limits, refusedMs: 400 });
  const took = async (...said: Parameters<typeof announce>): Promise<number> => {
    const begunMs = performance.now();
    await announce(...said);
    return performance.now() - begunMs;
  };
  await announce(testPeer(1), entries(0, 0), '10.0.0.7');
  const refused = took(testPeer(1), entries(5_000, 0), '10.0.0.7');
  const other = took(testPeer(2), [{ digest: testDigest(1), state: 'have', seek: 0 }], '10.0.0.8');
  expect(await Promise.race([refused.then(() => 'refused'), other.then(() => 'other')])).toBe('other');
  expect(await refused).toBeGreaterThan(390);
});
