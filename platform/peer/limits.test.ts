/**
 * Whole nodes whose process has a limit up or down, over a simulated net and in virtual time: that this machine is busy
 * delays no byte, and is nobody's fault. Stores and workers are real. Only what a limit forbids is timed: more cannot be
 * moved.
 */

import { afterEach, beforeEach, expect, test } from 'vitest';
import * as z from 'zod';
import { VirtualClock } from '../net/clock.fixtures.ts';
import { evenMedium } from '../net/medium.ts';
import { SimulatedNet } from '../net/simulated.ts';
import { peerOptions, peerShape } from './config.ts';
import {
  MemoryTracker,
  readBlob,
  seedBlob,
  slotsLeft,
  startNode,
  type TestBlob,
  type TestNode,
  totalOf,
} from './fixtures.ts';
import { burstMs } from './links/throttle.ts';

const mebibyte = 1024 * 1024;
/** A portion, and what is moved before the first wait. */
const slackBytes = 512 * 1024;
/** Faster than every limit here. */
const medium = { latencyMs: 1, bytesPerMs: 100_000 } as const;
/** What a turn of the event loop is worth: no more than it takes, for disks and workers have their own time. */
const turnMs = 1;

const running: AsyncDisposable[] = [];
let clock: VirtualClock;
let net: SimulatedNet;
let turning: NodeJS.Timeout;
beforeEach(() => {
  clock = new VirtualClock();
  net = new SimulatedNet(evenMedium(clock, medium));
  turning = setInterval(() => clock.until(clock.ms + turnMs), turnMs);
});
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one[Symbol.asyncDispose]();
  clearInterval(turning);
});

async function start(tracker: MemoryTracker, o: Parameters<typeof startNode>[1] = {}): Promise<TestNode> {
  const node = await startNode(tracker, { net: net.place('127.0.0.1'), clock, ...o });
  running.push(node);
  return node;
}

/** How long all of them took to have the blob whole, ms of virtual time. */
async function pulled(agents: readonly TestNode[], blob: TestBlob): Promise<number> {
  const startMs = clock.ms;
  await Promise.all(agents.map((agent) => agent.node.pull(blob.digest).complete));
  const ms = clock.ms - startMs;
  for (const agent of agents) expect(Buffer.compare(await readBlob(agent, blob.digest), blob.bytes)).toBe(0);
  return ms;
}

const leastMs = (bytes: number, rate: number): number => ((bytes - slackBytes) / rate) * 1000 - burstMs;

test('an uplink limit holds over all links together, and delays nobody else', async () => {
  const tracker = new MemoryTracker();
  const rate = 8 * mebibyte;
  const origin = await start(tracker, { role: 'origin', limits: { upBytesPerS: rate } });
  const agents = [await start(tracker), await start(tracker), await start(tracker)];
  const blob = await seedBlob(origin, 6 * mebibyte);
  const ms = await pulled(agents, blob);
  const sent = await totalOf(origin, 'peer_sent_bytes_total');
  expect(sent).toBeGreaterThanOrEqual(blob.bytes.length);
  expect(ms).toBeGreaterThan(leastMs(sent, rate));
  expect(await totalOf(origin, 'peer_slow_total')).toBe(0);
  for (const node of [origin, ...agents]) expect(slotsLeft(node)).toBe(0);
});

test('a downlink limit holds over several sources, which are not blamed for the waiting', async () => {
  const tracker = new MemoryTracker();
  const rate = 2 * mebibyte;
  const origin = await start(tracker, { role: 'origin' });
  const seeder = await start(tracker);
  const blob = await seedBlob(origin, 5 * mebibyte);
  await pulled([seeder], blob);
  // A quarter of what a link waits for its turn beside another.
  const patience = { greetingMs: 5_000, stalledMs: 4 };
  const agent = await start(tracker, { limits: { downBytesPerS: rate }, patience });
  expect(await pulled([agent], blob)).toBeGreaterThan(leastMs(blob.bytes.length, rate));
  expect(await totalOf(agent, 'peer_slow_total')).toBe(0);
  expect(await totalOf(agent, 'peer_faults_total')).toBe(0);
  for (const node of [origin, seeder, agent]) expect(slotsLeft(node)).toBe(0);
});

test('a node with a limit that is stopped in the middle of a piece gives everything back', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin', limits: { upBytesPerS: mebibyte } });
  const agent = await start(tracker, { limits: { downBytesPerS: mebibyte } });
  const blob = await seedBlob(origin, 16 * mebibyte);
  const pull = agent.node.pull(blob.digest);
  await pull.waitFor(0).catch(() => undefined);
  agent.node.stop(blob.digest);
  await agent.stop();
  await origin.stop();
  for (const node of [origin, agent]) expect(slotsLeft(node)).toBe(0);
});

test('limits come from the configuration; what nobody could live with is refused', async () => {
  const schema = z.strictObject({ peer: peerShape(1) });
  const read = async (peer: object) => await peerOptions(schema.parse({ peer: { advertise: 'h', ...peer } }).peer, []);
  expect((await read({ limits: { up: '300MB/s', down: '200Mbit/s' } })).limits).toEqual({
    upBytesPerS: 300_000_000,
    downBytesPerS: 25_000_000,
  });
  expect((await read({})).limits).toEqual({});
  await expect(read({ limits: { up: '10kB/s' } })).rejects.toThrow('a limit is at least 100kB/s');
  await expect(read({ limits: { up: '0MB/s' } })).rejects.toThrow('a limit is at least');
  await expect(read({ limits: { sideways: '1MB/s' } })).rejects.toThrow('sideways');
});
