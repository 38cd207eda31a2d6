/** Pulls that are in no hurry: whole in the end, no faster than allowed, and at once for whoever is in a hurry. */

import { afterEach, expect, test } from 'vitest';
import { unitBytes } from '../../core/piece.ts';
import { realClock } from '../net/clock.ts';
import { MemoryTracker, readBlob, seedBlob, startNode, type TestNode, until } from './fixtures.ts';
import type { PullPace } from './pulls/pacing.ts';

const nodes: TestNode[] = [];
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node[Symbol.asyncDispose]()));
});

async function pair(): Promise<{ tracker: MemoryTracker; from: TestNode; to: TestNode }> {
  const tracker = new MemoryTracker();
  const [from, to] = [await startNode(tracker, { role: 'origin' }), await startNode(tracker, { role: 'origin' })];
  nodes.push(from, to);
  return { tracker, from, to };
}

/** Says how many bytes may come; what was not given waits. */
class Given implements PullPace {
  readonly asked: number[] = [];
  readonly #waiting: (() => void)[] = [];
  #left = 0;

  wait(bytes: number, go: () => void): Disposable {
    this.asked.push(bytes);
    let open = true;
    this.#waiting.push(() => open && realClock.soon(go));
    this.give(0);
    const close = (): void => {
      open = false;
    };
    return { [Symbol.dispose]: close };
  }

  give(pieces: number): void {
    this.#left += pieces;
    while (this.#left > 0 && this.#waiting.length > 0) {
      this.#left--;
      this.#waiting.shift()?.();
    }
  }
}

test('only what was allowed comes; then all of it, and it is whole', async () => {
  const { from, to } = await pair();
  const blob = await seedBlob(from, 12 * unitBytes - 7);
  const pace = new Given();
  const pull = to.node.pull(blob.digest, { peers: [from.node.self], pace });
  const entry = await pull.learned();
  pace.give(5);
  await until(() => entry.heldCount === 5);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(entry.heldCount).toBe(5);
  pace.give(100);
  await pull.complete;
  expect(await readBlob(to, blob.digest)).toEqual(blob.bytes);
  expect(pace.asked.reduce((sum, bytes) => sum + bytes, 0)).toBe(blob.bytes.length);
});

test('whoever pulls it without a pace, or reads it, does not wait', async () => {
  const { from, to } = await pair();
  for (const hurry of ['pull', 'read'] as const) {
    const blob = await seedBlob(from, 6 * unitBytes);
    const pace = new Given();
    const slow = to.node.pull(blob.digest, { peers: [from.node.self], pace });
    await slow.learned();
    if (hurry === 'pull') await to.node.pull(blob.digest).complete;
    else await slow.waitFor(3);
    await slow.complete;
    expect(await readBlob(to, blob.digest)).toEqual(blob.bytes);
  }
});

test('what was here already is not paid for again', async () => {
  const { from, to } = await pair();
  const blob = await seedBlob(from, 8 * unitBytes);
  const first = new Given();
  const begun = to.node.pull(blob.digest, { peers: [from.node.self], pace: first });
  const entry = await begun.learned();
  first.give(3);
  await until(() => entry.heldCount === 3);
  to.node.stop(blob.digest);
  const second = new Given();
  second.give(100);
  await to.node.pull(blob.digest, { peers: [from.node.self], pace: second }).complete;
  expect(second.asked).toHaveLength(5);
  expect(await readBlob(to, blob.digest)).toEqual(blob.bytes);
});
