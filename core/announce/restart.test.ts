/** What a tracker hears that was away: what is sought first, the rest when it says, and nothing that it knows. */

import { expect, test } from 'vitest';
import type { AnnounceReply } from '../contracts/tracker.ts';
import type { Digest } from '../digest.ts';
import { testDigest } from '../handout/fixtures.ts';
import { digests, one, two, World } from './announcer.fixtures.ts';

const count = 100;

function announced(trackers: readonly string[] = [one]): World {
  const world = new World({ trackers });
  for (const digest of digests(count)) world.tell({ kind: 'set', digest, state: 'have' });
  world.run(1_000);
  world.sent.length = 0;
  return world;
}

test('one that was silent for a while, and forgot nothing, is told nothing again', () => {
  const world = announced();
  world.cut.add(one);
  world.run(20_000);
  expect(world.announcer.stats).toMatchObject({ down: 1, held: 0 });
  world.cut.clear();
  world.run(40_000);
  expect(world.announcer.stats).toEqual({ blobs: count, held: count, down: 0 });
  expect(world.sent.flatMap(({ body }) => body.entries)).toEqual([]);
  expect(world.sent.some(({ body }) => body.reset)).toBe(false);
});

test('what was on its way when it failed is told again, and what changed meanwhile', () => {
  const world = announced();
  const [first, second] = digests(2) as [Digest, Digest];
  world.deaf.add(one);
  world.tell({ kind: 'unset', digest: first });
  world.run(5_000);
  world.tell({ kind: 'set', digest: testDigest(500), state: 'want' });
  world.tell({ kind: 'unset', digest: second });
  world.deaf.clear();
  world.run(30_000);
  expect([first, second, testDigest(500)].map((digest) => world.knows(one, digest))).toEqual([false, false, true]);
  expect(world.announcer.stats).toEqual({ blobs: count - 1, held: count - 1, down: 0 });
});

test('one that forgot says when it wants the rest: until then it hears what is sought, at once', () => {
  const world = announced();
  world.run(8_000);
  world.restart(one);
  // Others were before us.
  const others = Array.from({ length: 40 }, (_, i) => ({
    node: `other ${i}`,
    host: 'h',
    port: 1,
    role: 'agent' as const,
    zone: '',
  }));
  const turns: number[] = [];
  for (const self of others) {
    world.trackers.get(one)!.handle({ kind: 'announce', request: { self, entries: [], held: 7_500 } }, world.nowMs);
    for (const out of world.trackers.get(one)!.drain())
      if (out.kind === 'reply') turns.push((out.reply as AnnounceReply).resyncAfterMs ?? 0);
  }
  // A tenth of a second each, one after the other.
  expect(turns.slice(0, 3)).toEqual([0, 100, 200]);
  while (world.sent.length === 0) world.run(world.nowMs + 10);
  const asked = world.sent[0]!;
  expect(asked.body).toMatchObject({ entries: [], held: count });
  const wanted = testDigest(900);
  world.tell({ kind: 'set', digest: wanted, state: 'want' });
  world.tell({ kind: 'seek', digest: wanted, count: 4 });
  world.run(world.nowMs + 10);
  const rest = (): number => world.sent.findIndex(({ body }) => body.entries.length >= count);
  expect(rest()).toBe(-1);
  expect(world.knows(one, wanted)).toBe(true);
  world.run(30_000);
  expect(world.sent[rest()]!.atMs).toBeGreaterThan(asked.atMs + 900);
  expect(world.trackers.get(one)!.stats.leases).toBe(count + 1);
});

test('what another one was told of meanwhile goes back in one batch, and nowhere else', () => {
  const world = announced([one, two]);
  world.cut.add(one);
  world.run(30_000);
  expect(world.trackers.get(two)!.stats.leases).toBe(count);
  world.sent.length = 0;
  world.restart(one);
  world.cut.clear();
  world.run(60_000);
  const batches = world.sent.filter(({ body }) => body.entries.length > 0);
  expect(batches.map(({ tracker }) => tracker).sort()).toEqual([one, two]);
  expect(world.trackers.get(one)!.stats.leases + world.trackers.get(two)!.stats.leases).toBe(count);
});
