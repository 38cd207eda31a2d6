/** Blobs that there is no room for: read to the last byte through a few pieces' room, and fed from there while they last. */

import { readdir } from 'node:fs/promises';
import { afterEach, expect, test } from 'vitest';
import type { ByteRange } from '../../core/oci/range.ts';
import { unitBytes } from '../../core/piece.ts';
import { readRange } from '../reader/read.ts';
import type { BlobEntry } from '../store/pieces/entry.ts';
import { beyondBudgetBytesMax, windowBytesMin } from '../store/room/passing.ts';
import {
  MemoryTracker,
  seedBlob,
  slotsLeft,
  startNode,
  type TestBlob,
  type TestNode,
  totalOf,
  until,
} from './fixtures.ts';

const MiB = 1024 * 1024;
const nodes: TestNode[] = [];
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node[Symbol.asyncDispose]()));
});

async function start(tracker: MemoryTracker, o: Parameters<typeof startNode>[1] = {}): Promise<TestNode> {
  const node = await startNode(tracker, o);
  nodes.push(node);
  return node;
}

/** A client that reads `range`; `pause` is awaited before each chunk but the first. */
async function read(
  at: TestNode,
  blob: TestBlob,
  o: { range?: ByteRange; pause?: (chunk: number) => Promise<void>; signal?: AbortSignal } = {},
): Promise<void> {
  const range = o.range ?? { start: 0, end: blob.bytes.length };
  const pull = at.node.pull(blob.digest);
  const entry = await pull.learned();
  const source = {
    entry,
    pull: () => at.node.pull(blob.digest),
    lost: (piece: number) => at.node.lost(blob.digest, piece),
  };
  let from = range.start;
  let chunks = 0;
  for await (const chunk of readRange(source, at.workers.arena, range, o.signal ?? new AbortController().signal)) {
    for (const part of chunk.bytes) {
      if (!blob.bytes.subarray(from, from + part.length).equals(part)) throw new Error(`wrong bytes at ${from}`);
      from += part.length;
    }
    chunk.release();
    chunks += 1;
    await o.pause?.(chunks);
  }
  expect(from).toBe(range.end);
}

const windowOf = (entry: BlobEntry | undefined): number => entry?.window?.capacity ?? -1;

test('a blob larger than the whole budget is read to its last byte, and nothing of it stays', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const blob = await seedBlob(origin, 24 * MiB + 777);
  const agent = await start(tracker, { budgetBytes: 8 * MiB });
  await read(agent, blob);
  const entry = agent.store.get(blob.digest);
  expect(entry?.complete).toBe(false);
  expect(entry?.heldCount).toBeLessThanOrEqual(windowOf(entry));
  expect(agent.store.usedBytes).toBeLessThanOrEqual(8 * MiB);
  expect(await readdir(`${agent.dir}/uploads`)).toEqual([]);
  agent.node.stop(blob.digest);
  await until(() => slotsLeft(agent) === 0);
  expect([agent.store.get(blob.digest), agent.store.usedBytes, agent.store.passing.bytes]).toEqual([undefined, 0, 0]);
});

test('no piece comes twice for one reader, nor any that it does not want', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const blob = await seedBlob(origin, 48 * MiB);
  const agent = await start(tracker, { budgetBytes: 8 * MiB });
  await read(agent, blob);
  // A few may have been asked for before it was known that there is no room.
  expect(await totalOf(agent, 'peer_received_bytes_total')).toBeLessThan(blob.bytes.length * 1.1);
});

test('a range of a cold one costs its window, though the origin would give others first', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const blob = await seedBlob(origin, 48 * MiB);
  const agent = await start(tracker, { budgetBytes: 8 * MiB });
  await read(agent, blob, { range: { start: 40 * MiB, end: 40 * MiB + 100 } });
  expect(await totalOf(agent, 'peer_received_bytes_total')).toBeLessThan(20 * MiB);
});

test('a reader that pauses holds up none of the others, and goes on where it was', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const blob = await seedBlob(origin, 24 * MiB);
  const agent = await start(tracker, { budgetBytes: 8 * MiB });
  const gate = Promise.withResolvers<void>();
  const paused = [3, 40].map((at) =>
    read(agent, blob, { pause: (chunk) => (chunk === at ? gate.promise : Promise.resolve()) }),
  );
  const leaves = new AbortController();
  const left = read(agent, blob, { signal: leaves.signal, pause: async () => leaves.abort(new Error('gone')) });
  await expect(left).rejects.toThrow('gone');
  await Promise.all([
    read(agent, blob),
    read(agent, blob, { range: { start: 12 * MiB, end: 24 * MiB } }),
    read(agent, blob, { range: { start: 5, end: 9 * MiB + 3 } }),
  ]);
  gate.resolve();
  await Promise.all(paused);
});

test('more readers at different places than there are places for pieces: each has its turn', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const blob = await seedBlob(origin, 24 * MiB);
  const agent = await start(tracker, { budgetBytes: 1 * MiB });
  const places = windowBytesMin / unitBytes;
  const starts = Array.from({ length: 3 * places }, (_, i) => i * 512 * 1024);
  await Promise.all(starts.map((at) => read(agent, blob, { range: { start: at, end: at + 300_000 } })));
  expect(windowOf(agent.store.get(blob.digest))).toBeLessThanOrEqual(places);
});

test('hosts without room feed each other, and the one that has room', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const blob = await seedBlob(origin, 24 * MiB);
  const agents = await Promise.all([8, 8, 8, 64].map((n) => start(tracker, { budgetBytes: n * MiB })));
  await Promise.all(agents.map((agent) => read(agent, blob)));
  const all = blob.bytes.length;
  expect(await totalOf(origin, 'peer_sent_bytes_total')).toBeLessThan(3.5 * all);
  let sent = 0;
  for (const agent of agents) {
    sent += agent.store.get(blob.digest)?.window === undefined ? 0 : await totalOf(agent, 'peer_sent_bytes_total');
    expect(await totalOf(agent, 'peer_faults_total')).toBe(0);
    expect(await totalOf(agent, 'peer_unreadable_pieces_total')).toBe(0);
    expect(await totalOf(agent, 'peer_received_bytes_total')).toBeLessThan(1.2 * all);
  }
  expect(sent).toBeGreaterThan(0);
  expect(agents[3]?.store.get(blob.digest)?.complete).toBe(true);
}, 30_000);

test('pulls that come when nothing is left wait in turn, and idle ones make room for them', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const turns = beyondBudgetBytesMax / windowBytesMin;
  const agent = await start(tracker, { budgetBytes: 1 * MiB });
  const blobs: TestBlob[] = [];
  for (let i = 0; i < turns + 4; i += 1) blobs.push(await seedBlob(origin, 5 * MiB + i));
  // Nobody stops these pulls when their reader is done.
  await Promise.all(blobs.map((blob) => read(agent, blob)));
  expect(agent.store.passing.bytes).toBeLessThanOrEqual(beyondBudgetBytesMax + 1 * MiB);
  expect(agent.store.usedBytes).toBeLessThanOrEqual(1 * MiB);
}, 40_000);

test('the seeder is killed: what passes through comes from another peer', async () => {
  const tracker = new MemoryTracker();
  const [first, second] = [await start(tracker, { role: 'origin' }), await start(tracker)];
  const blob = await seedBlob(first, 24 * MiB);
  await second.node.pull(blob.digest).complete;
  const agent = await start(tracker, { budgetBytes: 8 * MiB });
  await read(agent, blob, {
    pause: async (chunk) => {
      if (chunk === 5) await first.stop();
    },
  });
});

test('a pull that is stopped at any moment leaves no room taken, and can begin again', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const blob = await seedBlob(origin, 12 * MiB);
  const agent = await start(tracker, { budgetBytes: 4 * MiB });
  for (let ms = 0; ms < 24; ms += 1) {
    agent.node.pull(blob.digest);
    await new Promise((resolve) => setTimeout(resolve, ms / 2));
    agent.node.stop(blob.digest);
  }
  await until(() => agent.store.passing.bytes === 0 && agent.store.usedBytes === 0);
  for (const again of [agent.node.pull(blob.digest), agent.node.pull(blob.digest)]) await again.learned();
  await read(agent, blob);
});

test('a pull that is stopped while its entry is made leaves none', async () => {
  const tracker = new MemoryTracker();
  const origin = await start(tracker, { role: 'origin' });
  const blob = await seedBlob(origin, 12 * MiB);
  const agent = await start(tracker, { budgetBytes: 4 * MiB });
  const made = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  const create = agent.store.create.bind(agent.store);
  agent.store.create = async (...args) => {
    const entry = await create(...args);
    made.resolve();
    await gate.promise;
    return entry;
  };
  agent.node.pull(blob.digest);
  await made.promise;
  agent.node.stop(blob.digest);
  gate.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  expect([agent.store.get(blob.digest), agent.store.passing.bytes]).toEqual([undefined, 0]);
  await read(agent, blob);
});
