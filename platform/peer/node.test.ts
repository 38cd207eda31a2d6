/** Whole nodes on loopback: real sockets, stores and workers; only the tracker is in memory. */

import { open, readdir } from 'node:fs/promises';
import { afterEach, expect, test } from 'vitest';
import type { ApiError } from '../../core/contracts/errors.ts';
import { type Digest, digestOf } from '../../core/digest.ts';
import { defaultPolicy } from '../../core/swarm/policy.ts';
import type { BlobEntry } from '../store/store.ts';
import {
  MemoryTracker,
  readBlob,
  seedBlob,
  slotsLeft,
  startNode,
  type TestBlob,
  type TestNode,
  totalOf,
  until,
} from './fixtures.ts';

const mebibyte = 1024 * 1024;
const running: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

async function start(tracker: MemoryTracker, o: Parameters<typeof startNode>[1] = {}): Promise<TestNode> {
  const node = await startNode(tracker, o);
  running.push(node);
  return node;
}

async function same(agent: TestNode, blob: TestBlob): Promise<void> {
  expect(Buffer.compare(await readBlob(agent, blob.digest), blob.bytes)).toBe(0);
}

function code(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => undefined,
    (error: ApiError) => error.code,
  );
}

const unknown: Digest = digestOf('sha256', 'ab'.repeat(32));

test.each([
  ['both know wishes', true, true],
  ['the origin knows none', false, true],
  ['the agent knows none', true, false],
])('a reader out of the blue, %s', { timeout: 60_000 }, async (_who, originKnows, agentKnows) => {
  const tracker = new MemoryTracker();
  // Slow enough that the order of pieces shows.
  const limits = { upBytesPerS: 8e6 };
  const policyOf = (wishes: boolean) => ({ ...defaultPolicy, wishes });
  const origin = await start(tracker, { role: 'origin', limits, policy: policyOf(originKnows) });
  const agent = await start(tracker, { policy: policyOf(agentKnows) });
  const blob = await seedBlob(origin, 24 * mebibyte);
  const pull = agent.node.pull(blob.digest);
  const entry = await pull.learned();
  const reader = pull.reader(90, 91);
  await pull.waitFor(90);
  let held = 0;
  for (let piece = 0; piece < entry.pieces; piece++) if (entry.has(piece)) held++;
  // A few were on their way before; without wishes all before it come first, but for sixteen.
  if (originKnows && agentKnows) expect(held).toBeLessThan(48);
  else expect(held).toBeGreaterThan(70);
  reader.close();
  await pull.complete;
  await same(agent, blob);
  for (const one of [origin, agent]) expect(await totalOf(one, 'peer_faults_total')).toBe(0);
});

test('one origin and four agents: all get every byte, much of it from each other, and nothing leaks', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const agents = await Promise.all([1, 2, 3, 4].map(() => start(tracker)));
  const blob = await seedBlob(origin, 20 * mebibyte + 12_345);
  const pulls = agents.map((agent) => agent.node.pull(blob.digest));
  expect(agents[0]?.node.pull(blob.digest)).toBe(pulls[0]);
  await Promise.all(pulls.map((pull) => pull.complete));
  for (const agent of agents) await same(agent, blob);
  for (const { stats } of pulls) expect(stats.bytesFromPeers + stats.bytesFromOrigins).toBe(blob.bytes.length);
  const left = pulls.reduce((sum, pull) => sum + pull.stats.bytesFromOrigins, 0);
  expect(left).toBeLessThan(3 * blob.bytes.length);
  for (const one of [origin, ...agents]) {
    expect(await totalOf(one, 'peer_faults_total')).toBe(0);
    await until(() => slotsLeft(one) === 0);
  }
});

test('who is being fed is told, and for a moment after the last piece', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const agent = await start(tracker);
  const blob = await seedBlob(origin, 8 * mebibyte);
  expect(origin.node.feeding).toBe(0);
  await agent.node.pull(blob.digest).complete;
  expect([origin.node.feeding, agent.node.feeding]).toEqual([1, 0]);
  await until(() => origin.node.feeding === 0);
});

test('an agent that dies in the middle does not stop the others, and resumes from what it had verified', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const agents = await Promise.all([1, 2, 3, 4].map(() => start(tracker)));
  const blob = await seedBlob(origin, 20 * mebibyte);
  const victim = agents[0] as TestNode;
  const pulls = agents.map((agent) => agent.node.pull(blob.digest));
  const entry = await (pulls[0] as (typeof pulls)[0]).learned();
  await until(() => entry.heldCount > 20);
  const heldBefore = entry.heldCount;
  await victim.stop();
  await Promise.all(pulls.slice(1).map((pull) => pull.complete));
  for (const agent of agents.slice(1)) await same(agent, blob);

  const again = await start(tracker, { dir: victim.dir });
  expect(again.store.get(blob.digest)?.heldCount).toBeGreaterThanOrEqual(Math.min(heldBefore, 20));
  const resumed = again.node.pull(blob.digest);
  await resumed.complete;
  await same(again, blob);
  expect(resumed.stats.bytesFromPeers + resumed.stats.bytesFromOrigins).toBeLessThan(blob.bytes.length);
});

test('pieces are there for those who wait before the blob is complete; a reader says where it stands', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const agent = await start(tracker);
  const blob = await seedBlob(origin, 10 * mebibyte);
  const pull = agent.node.pull(blob.digest);
  const reader = pull.reader(0, 40);
  const entry = await pull.learned();
  for (let piece = 0; piece < entry.pieces; piece++) {
    reader.move(piece);
    await pull.waitFor(piece);
    expect(entry.has(piece)).toBe(true);
  }
  reader.close();
  reader.close();
  await pull.complete;
  await same(agent, blob);
});

test('blobs of no byte, of one piece and of one piece and a bit', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const agents = await Promise.all([1, 2].map(() => start(tracker)));
  for (const length of [0, 1, 100_000, 256 * 1024, 256 * 1024 + 1]) {
    const blob = await seedBlob(origin, length);
    await Promise.all(agents.map((agent) => agent.node.pull(blob.digest).complete));
    for (const agent of agents) await same(agent, blob);
  }
});

test('a small blob comes with the tracker answer, without a swarm; a wrong one is not believed', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const agent = await start(tracker);
  for (const wrong of [false, true]) {
    const blob = await seedBlob(origin, 5000);
    const bytes = wrong ? Buffer.alloc(5000, 1) : blob.bytes;
    tracker.swarm(blob.digest).inline = bytes.toString('base64');
    await agent.node.pull(blob.digest).complete;
    await same(agent, blob);
    expect(agent.node.stats().links.dialled).toBe(wrong ? 1 : 0);
  }
});

test('a blob that no origin knows is BLOB_UNKNOWN; a tracker that is silent is UNAVAILABLE, and the pull goes on', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const agent = await start(tracker, { learnMs: 200 });
  const lost = agent.node.pull(unknown);
  expect(await code(lost.learned())).toBe('BLOB_UNKNOWN');
  expect(await code(lost.complete)).toBe('BLOB_UNKNOWN');
  const blob = await seedBlob(origin, 3 * mebibyte);
  tracker.state = 'down';
  const pull = agent.node.pull(blob.digest);
  expect(await code(pull.learned())).toBe('UNAVAILABLE');
  tracker.state = 'up';
  await pull.complete;
  await same(agent, blob);
});

test('nobody sends: those who wait hear SWARM_STALLED, and the pull ends well once somebody does', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const blob = await seedBlob(origin, 12 * mebibyte);
  const agent = await start(tracker, { stallMs: 400 });
  const pull = agent.node.pull(blob.digest);
  const entry = await pull.learned();
  await until(() => entry.heldCount > 0);
  await origin.stop();
  const missing = Array.from({ length: entry.pieces }, (_, i) => i).find((i) => !entry.has(i)) as number;
  expect(await code(pull.waitFor(missing))).toBe('SWARM_STALLED');
  const reason = new Error('left');
  await expect(pull.waitFor(missing, AbortSignal.abort(reason))).rejects.toBe(reason);
  const back = await start(tracker, { role: 'origin', dir: origin.dir });
  for (const stored of back.store.blobs()) back.node.seed(stored);
  await pull.complete;
  await same(agent, blob);
});

/** Overwrites a quarter of each piece of the blob where it lies on the node's disk. */
async function damage(node: TestNode, { digest, bytes }: TestBlob): Promise<void> {
  const names = await readdir(node.dir, { recursive: true });
  const name = names.find((one) => one.includes(`/${digest.slice('sha256:'.length)}.`)) as string;
  const handle = await open(`${node.dir}/${name}`, 'r+');
  for (let at = 0; at < bytes.length; at += 256 * 1024) await handle.write(Buffer.alloc(65_536), 0, 65_536, at);
  await handle.close();
}

async function readPiece({ store, workers }: TestNode, { digest }: TestBlob, piece: number): Promise<unknown> {
  const slot = await workers.arena.acquire('reader', 256 * 1024);
  const verdict = await store.get(digest)?.read(piece, slot);
  slot.release();
  return verdict;
}

test('a blob that went bad on a disk is not served', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const blob = await seedBlob(origin, 4 * mebibyte);
  const first = await start(tracker);
  await first.node.pull(blob.digest).complete;
  await damage(first, blob);
  const second = await start(tracker);
  await second.node.pull(blob.digest).complete;
  await same(second, blob);
});

test('whoever finds one bad piece has all of them mended', async () => {
  const tracker = new MemoryTracker();
  const blob = await seedBlob(await start(tracker, { role: 'origin' }), 4 * mebibyte);
  const agent = await start(tracker);
  await agent.node.pull(blob.digest).complete;
  await damage(agent, blob);
  expect(await readPiece(agent, blob, 3)).toBe('corrupt');
  agent.node.lost(blob.digest, 3);
  const entry = agent.store.get(blob.digest) as BlobEntry;
  await until(() => entry.heldCount < 15);
  await until(() => entry.complete);
  await same(agent, blob);
});

test('what a check of the whole blob finds decayed is mended at once, though nobody reads it', async () => {
  const tracker = new MemoryTracker();
  const blob = await seedBlob(await start(tracker, { role: 'origin' }), 4 * mebibyte);
  const agent = await start(tracker);
  await agent.node.pull(blob.digest).complete;
  await damage(agent, blob);
  const entry = agent.store.get(blob.digest) as BlobEntry;
  expect((await agent.store.problemOf(entry, new AbortController().signal))?.code).toBe('UNAVAILABLE');
  expect(entry.heldCount).toBe(0);
  await agent.node.mend(entry);
  expect(entry.complete).toBe(true);
  await same(agent, blob);
});

test('a blob that is damaged on its only origin is served again once it is pushed again', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const blob = await seedBlob(origin, 4 * mebibyte);
  await damage(origin, blob);
  const agent = await start(tracker, { stallMs: 300 });
  const pull = agent.node.pull(blob.digest);
  expect(await code(pull.waitFor(0))).toBe('SWARM_STALLED');
  expect(origin.store.get(blob.digest)?.complete).toBe(false);
  const upload = await origin.store.beginUpload('again-0123456789', 'sha256');
  await upload.append(blob.bytes);
  const entry = await upload.commit(blob.digest);
  origin.node.arrived(entry);
  origin.node.seed(entry);
  await pull.complete;
  await same(agent, blob);
});

test('peers of another cluster get nothing', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const blob = await seedBlob(origin, mebibyte);
  const stranger = await start(tracker, { cluster: 'other', learnMs: 300 });
  expect(await code(stranger.node.pull(blob.digest).learned())).toBe('UNAVAILABLE');
});

test('stop keeps what was verified, drop ends a pull for good, and both tell those who wait', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const blob = await seedBlob(origin, 12 * mebibyte);
  const agent = await start(tracker);
  const pull = agent.node.pull(blob.digest);
  const entry = await pull.learned();
  await until(() => entry.heldCount > 3);
  agent.node.stop(blob.digest);
  expect(await code(pull.complete)).toBe('UNAVAILABLE');
  expect(await code(pull.waitFor(47))).toBe('UNAVAILABLE');
  const again = agent.node.pull(blob.digest);
  expect(again).not.toBe(pull);
  await again.complete;
  await same(agent, blob);
  agent.node.drop(blob.digest);
  await agent.store.remove(blob.digest);
  expect(agent.store.get(blob.digest)).toBeUndefined();
});

test('two pulls of a node share its links; a node that shuts down ends its pulls', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const agent = await start(tracker);
  const blobs = await Promise.all([3, 2, 1].map((size) => seedBlob(origin, size * mebibyte)));
  await Promise.all(blobs.map((blob) => agent.node.pull(blob.digest).complete));
  for (const blob of blobs) await same(agent, blob);
  expect(agent.node.stats().links.dialled).toBe(1);
  tracker.state = 'down';
  const waiting = code(agent.node.pull(unknown).learned());
  await agent.stop();
  expect(await waiting).toBe('UNAVAILABLE');
});
