/** Blobs that an origin still receives, on whole nodes: read while they come, whole at last everywhere, or cut off. */

import { createHash, randomBytes } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { type Digest, digestOf } from '../../core/digest.ts';
import { unitBytes } from '../../core/piece.ts';
import { readRange } from '../reader/read.ts';
import type { Writing } from '../store/growing/writing.ts';
import { MemoryTracker, readBlob, slotsLeft, startNode, type TestBlob, type TestNode, until } from './fixtures.ts';

const pieces = 24;

type Scene = { readonly tracker: MemoryTracker; readonly origin: TestNode; readonly agents: readonly TestNode[] };

async function scene(o: { agents: number; budgetBytes?: number; stallMs?: number } = { agents: 1 }): Promise<Scene> {
  const tracker = new MemoryTracker();
  const started = async (role: 'origin' | 'agent', of: object = {}): Promise<TestNode> => {
    const node = await startNode(tracker, { role, ...of });
    onTestFinished(() => node[Symbol.asyncDispose]());
    return node;
  };
  const origin = await started('origin');
  const { agents: count, ...of } = o;
  return { tracker, origin, agents: await Promise.all(Array.from({ length: count }, () => started('agent', of))) };
}

function randomBlob(length = pieces * unitBytes - 99): TestBlob {
  const bytes = randomBytes(length);
  return { digest: digestOf('sha256', createHash('sha256').update(bytes).digest('hex')), bytes };
}

/** The origin begins to receive `length` bytes said to be `digest`. */
async function begin({ tracker, origin }: Scene, digest: Digest, length: number): Promise<Writing> {
  const writing = await origin.store.growing.begin(digest, length);
  tracker.receives(origin, writing.entry);
  return writing;
}

async function feed(writing: Writing, bytes: Buffer, to: number): Promise<void> {
  while (writing.offset < to)
    await writing.append(bytes.subarray(writing.offset, Math.min(to, writing.offset + 99_999)));
}

/** A reader of a range; `at` says how far it is. */
function reading(at: TestNode, digest: Digest, range: { start: number; end: number }) {
  const got: Buffer[] = [];
  const state = { got: 0, bytes: (): Buffer => Buffer.concat(got), done: Promise.resolve() };
  const read = async (): Promise<void> => {
    const entry = await at.node.pull(digest).learned();
    const source = {
      entry,
      pull: () => at.node.pull(digest),
      lost: (piece: number) => at.node.lost(digest, piece),
    };
    const { signal } = new AbortController();
    for await (const chunk of readRange(source, at.workers.arena, range, signal)) {
      for (const part of chunk.bytes) got.push(Buffer.from(part));
      state.got += chunk.length;
      chunk.release();
    }
  };
  state.done = read();
  state.done.catch(() => undefined);
  return state;
}

test('three agents read a blob while its origin receives it, and hold all of it in the end, as the origin does', async () => {
  const at = await scene({ agents: 3 });
  const blob = randomBlob();
  const { length } = blob.bytes;
  const writing = await begin(at, blob.digest, length);
  const readers = at.agents.map((agent) => reading(agent, blob.digest, { start: 0, end: length }));
  for (const piece of [1, 2, 7, 20]) {
    await feed(writing, blob.bytes, piece * unitBytes);
    // Everybody gets what is there, and nobody more.
    await until(() => readers.every(({ got }) => got === piece * unitBytes));
  }
  await feed(writing, blob.bytes, length);
  await until(() => readers.every(({ got }) => got === (pieces - 1) * unitBytes));
  const parts = at.agents.map((agent) => agent.node.pull(blob.digest));
  expect(parts.map(({ entry }) => entry?.growth?.known)).toEqual(at.agents.map(() => pieces - 1));
  const entry = await writing.finish();
  await Promise.all(readers.map(({ done }) => done));
  for (const reader of readers) expect(reader.bytes().equals(blob.bytes)).toBe(true);
  await Promise.all(parts.map(({ complete }) => complete));
  for (const agent of at.agents) {
    expect(agent.store.get(blob.digest)?.meta).toEqual(entry.meta);
    expect((await readBlob(agent, blob.digest)).equals(blob.bytes)).toBe(true);
  }
  expect(at.origin.node.statsOf(blob.digest)?.held).toBe(pieces);
  for (const node of [at.origin, ...at.agents]) await until(() => slotsLeft(node) === 0);
});

test('its length is known, and readers wait, before a byte of it has come', async () => {
  const at = await scene({ agents: 1 });
  const [agent] = at.agents as [TestNode];
  const blob = randomBlob();
  const writing = await begin(at, blob.digest, blob.bytes.length);
  const entry = await agent.node.pull(blob.digest).learned();
  expect([entry.meta.length, entry.growth?.known]).toEqual([blob.bytes.length, 0]);
  const reader = reading(agent, blob.digest, { start: 0, end: blob.bytes.length });
  await feed(writing, blob.bytes, blob.bytes.length);
  await writing.finish();
  await reader.done;
  expect(reader.bytes().equals(blob.bytes)).toBe(true);
  expect(agent.store.get(blob.digest)).toBe(entry);
});

test('one that joins late, and one that has a part of it, get the rest', async () => {
  const at = await scene({ agents: 2 });
  const [early, late] = at.agents as [TestNode, TestNode];
  const blob = randomBlob();
  const { length } = blob.bytes;
  const writing = await begin(at, blob.digest, length);
  await feed(writing, blob.bytes, 6 * unitBytes);
  const first = reading(early, blob.digest, { start: 0, end: 5 * unitBytes });
  await first.done;
  early.node.stop(blob.digest);
  await feed(writing, blob.bytes, 12 * unitBytes);
  const range = { start: 3 * unitBytes - 5, end: length };
  const readers = [early, late].map((agent) => reading(agent, blob.digest, range));
  await until(() => readers.every(({ got }) => got === 9 * unitBytes + 5));
  await feed(writing, blob.bytes, length);
  await writing.finish();
  await Promise.all(readers.map(({ done }) => done));
  for (const reader of readers) expect(reader.bytes().equals(blob.bytes.subarray(range.start))).toBe(true);
});

test('where its origin is faster than everybody else, who was never told of a part gets it as any blob', async () => {
  const at = await scene({ agents: 1 });
  const [agent] = at.agents as [TestNode];
  const blob = randomBlob();
  const writing = await begin(at, blob.digest, blob.bytes.length);
  await feed(writing, blob.bytes, 3 * unitBytes);
  const reader = reading(agent, blob.digest, { start: 0, end: blob.bytes.length });
  await feed(writing, blob.bytes, blob.bytes.length);
  await writing.finish();
  await reader.done;
  expect(reader.bytes().equals(blob.bytes)).toBe(true);
});

test('bytes that are not the digest: every reader is cut off before the end, and nothing of it stays anywhere', async () => {
  const at = await scene({ agents: 3 });
  const blob = randomBlob();
  const { length } = blob.bytes;
  const { digest } = randomBlob();
  const writing = await begin(at, digest, length);
  const readers = at.agents.map((agent) => reading(agent, digest, { start: 0, end: length }));
  await feed(writing, blob.bytes, length);
  await until(() => readers.every(({ got }) => got > 10 * unitBytes));
  await expect(writing.finish()).rejects.toMatchObject({ code: 'DIGEST_INVALID' });
  for (const reader of readers) {
    await expect(reader.done).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(reader.got).toBeLessThan(length);
  }
  for (const { store, node } of [at.origin, ...at.agents]) {
    await until(() => store.get(digest) === undefined && store.usedBytes === 0);
    expect(node.statsOf(digest)).toBeUndefined();
  }
});

test('a reader that stands at the edge waits as long as more becomes known', async () => {
  const at = await scene({ agents: 1, stallMs: 900 });
  const [agent] = at.agents as [TestNode];
  const blob = randomBlob();
  const { length } = blob.bytes;
  const writing = await begin(at, blob.digest, length);
  // The reader waits for the last piece of all.
  const reader = reading(agent, blob.digest, { start: length - 10, end: length });
  for (let piece = 1; piece <= 8; piece++) {
    await feed(writing, blob.bytes, piece * unitBytes);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  expect(reader.got).toBe(0);
  await expect(reader.done).rejects.toMatchObject({ code: 'SWARM_STALLED' });
  const again = reading(agent, blob.digest, { start: length - 10, end: length });
  await feed(writing, blob.bytes, length);
  await writing.finish();
  await again.done;
  expect(again.bytes().equals(blob.bytes.subarray(length - 10))).toBe(true);
});

test('an agent without room for it streams it through', async () => {
  const at = await scene({ agents: 1, budgetBytes: 6 * unitBytes });
  const [agent] = at.agents as [TestNode];
  const blob = randomBlob(40 * unitBytes);
  const { length } = blob.bytes;
  const writing = await begin(at, blob.digest, length);
  const reader = reading(agent, blob.digest, { start: 0, end: length });
  for (let to = 0; to < length; to += 5 * unitBytes) {
    await feed(writing, blob.bytes, to);
    await until(() => reader.got >= to - unitBytes);
  }
  await feed(writing, blob.bytes, length);
  await writing.finish();
  await reader.done;
  expect(agent.node.pull(blob.digest).entry?.window).toBeDefined();
  expect(reader.bytes().equals(blob.bytes)).toBe(true);
});

test('another origin takes part, and goes on where the first one ended', async () => {
  const at = await scene({ agents: 2 });
  const other = await startNode(at.tracker, { role: 'origin' });
  onTestFinished(() => other[Symbol.asyncDispose]());
  const blob = randomBlob();
  const { length } = blob.bytes;
  const writing = await begin(at, blob.digest, length);
  other.node.pull(blob.digest);
  const readers = at.agents.map((agent) => reading(agent, blob.digest, { start: 0, end: length }));
  await feed(writing, blob.bytes, 10 * unitBytes);
  await until(() => readers.every(({ got }) => got === 10 * unitBytes));
  await until(() => other.store.get(blob.digest)?.heldCount === 10);
  await at.origin.stop();
  const next = await other.store.growing.begin(blob.digest, length);
  expect(next.resumeAt).toBe(10 * unitBytes);
  at.tracker.receives(other, next.entry);
  await feed(next, blob.bytes, length);
  await next.finish();
  await Promise.all(readers.map(({ done }) => done));
  for (const reader of readers) expect(reader.bytes().equals(blob.bytes)).toBe(true);
  expect((await readBlob(other, blob.digest)).equals(blob.bytes)).toBe(true);
});

test('an origin that takes a blob over from another one, and begins to receive it from elsewhere at that moment, has it whole', async () => {
  const at = await scene({ agents: 1 });
  const { origin } = at;
  const other = await startNode(at.tracker, { role: 'origin' });
  onTestFinished(() => other[Symbol.asyncDispose]());
  const blob = randomBlob();
  const { length } = blob.bytes;
  const whole = await begin(at, blob.digest, length);
  await feed(whole, blob.bytes, length);
  await whole.finish();
  const create = other.store.create.bind(other.store);
  let receives: Promise<Writing> | undefined;
  other.store.create = async (...args) => {
    // Both find nothing of it; the one that grows comes to be first.
    receives ??= other.store.growing.begin(blob.digest, length);
    const made = create(...args);
    at.tracker.receives(other, (await receives).entry);
    return made;
  };
  const pull = other.node.pull(blob.digest);
  const entry = await pull.learned();
  await pull.complete;
  const writing = (await receives) as Writing;
  expect(writing.entry).toBe(entry);
  expect([writing.needed, await writing.finish()]).toEqual([false, entry]);
  expect((await readBlob(other, blob.digest)).equals(blob.bytes)).toBe(true);
  await origin.stop();
  const reader = reading(at.agents[0] as TestNode, blob.digest, { start: 0, end: length });
  await reader.done;
  expect(reader.bytes().equals(blob.bytes)).toBe(true);
});
