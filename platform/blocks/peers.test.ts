/** Whole nodes on loopback, some of whose blobs are blocked. */

import { afterEach, expect, test } from 'vitest';
import type { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { MemoryTracker, readBlob, seedBlob, startNode, type TestNode } from '../peer/fixtures.ts';
import { silentLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { Blocks } from './blocks.ts';
import { withoutBlocked } from './peers.ts';

const mebibyte = 2 ** 20;
/** Slow enough that a pull is under way when it is blocked. */
const slow = { limits: { upBytesPerS: 4e6 } };
const running: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

type Host = TestNode & { readonly blocks: Blocks };
async function host(tracker: MemoryTracker, o: Parameters<typeof startNode>[1] = {}): Promise<Host> {
  const blocks = new Blocks({ log: silentLog(), metrics: new Metrics() }, undefined);
  const node = await startNode(tracker, { ...o, blocked: blocks.list });
  running.push(node);
  withoutBlocked(blocks, { ...node, role: o.role ?? 'agent' });
  return { ...node, blocks };
}
const block = (at: Host, ...digests: Digest[]): void =>
  at.blocks.take(digests.map((digest) => ({ digest, sinceMs: 1 })));
const failure = (pull: Promise<unknown>): Promise<ApiError | undefined> =>
  pull.then(
    () => undefined,
    (error: ApiError) => error,
  );

test('a pull under way ends, another one is refused, and after that it goes on from what is here', {
  timeout: 60_000,
}, async () => {
  const tracker = new MemoryTracker();
  const origin = await host(tracker, { role: 'origin', ...slow });
  const agent = await host(tracker);
  const blob = await seedBlob(origin, 8 * mebibyte);
  const pull = agent.node.pull(blob.digest);
  const entry = await pull.learned();
  await pull.waitFor(0);
  block(agent, blob.digest);
  expect(await failure(pull.complete)).toMatchObject({ code: 'UNAVAILABLE' });
  expect(agent.node.running()).toEqual([]);
  const held = entry.heldCount;
  const again = agent.node.pull(blob.digest);
  expect(await failure(again.learned())).toMatchObject({ code: 'DENIED', detail: { blocked: blob.digest } });
  expect(await failure(again.complete)).toMatchObject({ code: 'DENIED' });
  expect(agent.store.get(blob.digest)?.heldCount).toBeGreaterThanOrEqual(held);
  block(agent);
  await agent.node.pull(blob.digest).complete;
  expect(Buffer.compare(await readBlob(agent, blob.digest), blob.bytes)).toBe(0);
});

test('who has it feeds it to nobody, while others get what they ask for', { timeout: 60_000 }, async () => {
  const tracker = new MemoryTracker();
  const origin = await host(tracker, { role: 'origin', ...slow, learnMs: 500 });
  const agent = await host(tracker, { learnMs: 500, stallMs: 500 });
  const [blob, other] = [await seedBlob(origin, 8 * mebibyte), await seedBlob(origin, mebibyte)];
  const pull = agent.node.pull(blob.digest);
  await pull.learned();
  await pull.waitFor(0);
  block(origin, blob.digest);
  // Nobody feeds it: who waits for a piece is told.
  expect(await failure(pull.waitFor(31))).toMatchObject({ code: 'SWARM_STALLED' });
  expect(origin.node.statsOf(blob.digest)).toBeUndefined();
  await agent.node.pull(other.digest).complete;
  expect(origin.store.get(blob.digest)?.complete).toBe(true);
});

test('an agent offers again what is unblocked, and nothing of what is blocked', { timeout: 60_000 }, async () => {
  const tracker = new MemoryTracker();
  const origin = await host(tracker, { role: 'origin' });
  const agent = await host(tracker);
  const blob = await seedBlob(origin, mebibyte);
  await agent.node.pull(blob.digest).complete;
  const offers = (): boolean => tracker.swarm(blob.digest).members.has(agent.node.self.node);
  expect(offers()).toBe(true);
  block(agent, blob.digest);
  expect(offers()).toBe(false);
  agent.node.seed(agent.store.get(blob.digest)!);
  expect(offers()).toBe(false);
  block(agent);
  expect(offers()).toBe(true);
});
