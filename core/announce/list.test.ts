/** A list of trackers that changes while hosts announce to them. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Rendezvous } from '../rendezvous/rendezvous.ts';
import { digests, one, three, two, World } from './announcer.fixtures.ts';

const all = [one, two, three];

/** Which trackers know that we have each blob. */
const holders = (world: World, count: number): string[][] =>
  digests(count).map((digest) => [...world.trackers.keys()].filter((id) => world.knows(id, digest)));

function started(trackers: readonly string[], count: number): World {
  const world = new World({ trackers });
  for (const id of all) if (!trackers.includes(id)) world.restart(id);
  for (const digest of digests(count)) world.tell({ kind: 'set', digest, state: 'have' });
  world.run(2_000);
  return world;
}

test('a tracker that joins is told what it is first for, and whoever had it before that it has gone', () => {
  const count = 40;
  const world = started([one], count);
  world.tell({ kind: 'trackers', trackers: [one, two] });
  world.run(10_000);
  const owners = Rendezvous.of([one, two]);
  expect(holders(world, count)).toEqual(digests(count).map((digest) => owners.pick(digest, 1)));
  expect(holders(world, count).filter(([id]) => id === two).length).toBeGreaterThan(5);
  expect(world.announcer.stats).toEqual({ blobs: count, held: count, down: 0 });
});

test('what was asked of a tracker that leaves is asked of the next one; its answer counts for nothing', () => {
  const world = new World({ trackers: [one] });
  world.restart(two);
  world.hung.add(one);
  const [digest] = digests(1) as [ReturnType<typeof digests>[0]];
  world.tell({ kind: 'set', digest, state: 'want' });
  world.tell({ kind: 'seek', digest, count: 8 });
  world.run(20);
  expect([world.sent.length, world.waiting.length, world.answers.length]).toEqual([1, 1, 0]);
  world.tell({ kind: 'trackers', trackers: [two] });
  world.run(100);
  expect(world.sent.at(-1)).toMatchObject({ tracker: two, body: { entries: [{ digest, state: 'want', seek: 8 }] } });
  expect(world.answers).toHaveLength(1);
  const reply = { leaseMs: 1, intervalMs: 1, answers: [{ digest, peers: [] }] };
  world.tell({ kind: 'reply', request: world.waiting[0] as number, reply });
  expect(world.answers).toHaveLength(1);
  expect(() => world.tell({ kind: 'failed', request: world.waiting[0] as number })).toThrow('an answer to no request');
  expect(world.announcer.order(digest)).toEqual([two]);
});

test('however the list changes, each blob ends at who is first for it, and nowhere else', () => {
  const lists = fc.subarray(all, { minLength: 1 });
  fc.assert(
    fc.property(fc.array(fc.tuple(lists, fc.nat(3_000)), { minLength: 1, maxLength: 6 }), (changes) => {
      const world = started([one], 12);
      for (const [trackers, ms] of changes) {
        world.tell({ kind: 'trackers', trackers });
        world.run(world.nowMs + ms);
      }
      // Leases at trackers that left end by themselves.
      world.run(world.nowMs + 100_000);
      const owners = Rendezvous.of((changes.at(-1) as [string[], number])[0]);
      const now = new Set(owners.ids);
      const found = holders(world, 12).map((ids) => ids.filter((id) => now.has(id)));
      expect(found).toEqual(digests(12).map((digest) => owners.pick(digest, 1)));
    }),
    { numRuns: 60 },
  );
});
