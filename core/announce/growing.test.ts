/** How often a tracker is asked about a blob that grows, and what of it is told. */

import { expect, test } from 'vitest';
import { testDigest, testGrowth, testMeta, testPeer } from '../handout/fixtures.ts';
import { one, two, World } from './announcer.fixtures.ts';
import { Refreshes } from './refreshes.ts';

const digest = testDigest(1);
const origin = testPeer(9, 'origin');

/** Wanted, and the tracker says that it grows. */
function growing(trackers: readonly string[] = [one]): World {
  const world = new World({ trackers, growing: true });
  world.tell({ kind: 'set', digest, state: 'want' });
  world.run(300);
  grow(world, 0);
  world.tell({ kind: 'seek', digest, count: 8, repo: 'team/app' });
  world.run(310);
  return world;
}

function grow(world: World, known: number): void {
  for (const tracker of world.trackers.values())
    tracker.handle({ kind: 'grows', digest, growth: testGrowth(known), origins: [origin] }, world.nowMs);
}

const asked = (world: World, fromMs = 0): number[] =>
  world.sent
    .filter(({ atMs, body }) => atMs > fromMs && body.entries.some((entry) => entry.known !== undefined))
    .map(({ atMs }) => atMs);

test('says how much it knows, in the repository that it was sought in, until the metainfo is known', () => {
  const world = growing();
  expect(world.answers.at(-1)).toMatchObject({ growth: testGrowth(0), peers: [origin] });
  grow(world, 3);
  world.run(400);
  expect(world.answers.at(-1)).toMatchObject({ growth: testGrowth(3), peers: [] });
  world.tell({ kind: 'grows', digest, known: 3, waits: false });
  world.run(1_000);
  expect(world.sent.at(-1)!.body.entries).toEqual([{ digest, state: 'want', seek: 0, known: 3, repo: 'team/app' }]);
  // The same is not told twice.
  expect(world.answers.filter(({ growth }) => growth?.known === 3).length).toBeLessThan(5);

  world.trackers.get(one)!.handle({ kind: 'located', digest, meta: testMeta(9), origins: [origin] }, world.nowMs);
  world.run(2_000);
  expect(world.answers.at(-1)).toMatchObject({ meta: testMeta(9) });
  const { nowMs } = world;
  world.run(30_000);
  expect(asked(world, nowMs)).toEqual([]);
});

test.each(['have', 'unset'] as const)('%s ends it', (how) => {
  const world = growing();
  world.tell(how === 'unset' ? { kind: 'unset', digest } : { kind: 'set', digest, state: 'have' });
  const { nowMs } = world;
  world.run(20_000);
  expect(asked(world, nowMs)).toEqual([]);
});

test('often in the first second, ten times a second then, and by its age later', () => {
  const world = growing();
  world.run(61_000);
  const times = asked(world, 310).map((ms) => ms - 310);
  const within = (from: number, to: number): number => times.filter((ms) => ms >= from && ms < to).length;
  expect(times[0]).toBeLessThan(60);
  expect(within(0, 1_000)).toBeLessThan(25);
  expect(within(1_000, 2_000)).toBeGreaterThanOrEqual(9);
  expect(within(1_000, 5_000)).toBeLessThanOrEqual(36);
  // 5 percent of the age.
  expect(within(10_000, 20_000)).toBeLessThan(20);
  expect(within(40_000, 60_000)).toBeGreaterThanOrEqual(9);
});

test('where a neighbour has all of it: as soon as the origin may have said so, again if it had not, and believed once', () => {
  const world = growing();
  world.run(30_400);
  const from = world.nowMs;
  world.tell({ kind: 'grows', digest, known: 0, waits: 'whole' });
  world.run(from + 13);
  expect(asked(world, from)).toHaveLength(1);
  world.run(from + 100);
  expect(asked(world, from).length).toBeGreaterThanOrEqual(3);
  // It lied.
  for (let second = 0; second < 10; second++) {
    world.tell({ kind: 'grows', digest, known: 0, waits: 'whole' });
    world.run(from + (second + 1) * 1_000);
  }
  const { nowMs } = world;
  world.tell({ kind: 'grows', digest, known: 0, waits: 'whole' });
  world.run(nowMs + 1_000);
  expect(asked(world, nowMs).length).toBeLessThan(4);
});

test('sooner where somebody is further, once for what is told', () => {
  const world = growing();
  world.run(30_400);
  const before = asked(world).at(-1)!;
  world.tell({ kind: 'grows', digest, known: 0, waits: true });
  world.tell({ kind: 'grows', digest, known: 0, waits: true });
  world.run(before + 1_100);
  const [first, ...more] = asked(world, before);
  expect(first).toBeLessThan(Math.max(30_400, before + 600) + 50);
  expect(more.length).toBeLessThan(2);
});

test('where no tracker answers the origins are asked, as often', () => {
  const world = growing([one, two]);
  for (const tracker of [one, two]) world.cut.add(tracker);
  world.run(2_000);
  const before = world.alone.length;
  world.run(4_000);
  expect(world.alone.length - before).toBeGreaterThan(5);
  expect(world.alone.at(-1)).toMatchObject({ digest });
  for (const tracker of [one, two]) world.cut.delete(tracker);
  world.run(12_000);
  const { nowMs } = world;
  const alone = world.alone.length;
  world.run(20_000);
  expect(world.alone).toHaveLength(alone);
  expect(asked(world, nowMs).length).toBeGreaterThan(3);
});

test('it begins by the word of an origin as well as of a tracker', () => {
  const world = new World({ growing: true });
  world.tell({ kind: 'set', digest, state: 'want' });
  world.run(1_000);
  expect(asked(world, 300)).toEqual([]);
  world.tell({ kind: 'grows', digest, known: 2, waits: false });
  world.run(2_000);
  expect(asked(world, 1_000).length).toBeGreaterThan(3);
});

test('what never ends costs half a question a second', () => {
  const refreshes = new Refreshes();
  refreshes.told(digest, testGrowth(1), { nowMs: 0, unit: 0 });
  let asks = 0;
  for (let nowMs = 0; nowMs < 3_600_000; nowMs = Math.max(nowMs, refreshes.deadlineMs))
    asks += refreshes.take(nowMs).length;
  expect(asks).toBeLessThan(1_900);
});

test('it is asked for when it should be whole, however old it is', () => {
  const pieces = 1_000;
  const endMs = 100_000;
  const unit = 256 * 1024;
  const refreshes = new Refreshes();
  const asks: number[] = [0];
  for (let nowMs = 0; nowMs < endMs; nowMs = refreshes.deadlineMs) {
    if (nowMs > 0) asks.push(nowMs);
    refreshes.take(nowMs);
    const known = Math.min(pieces - 1, Math.floor((nowMs * pieces) / endMs));
    const growth = { length: pieces * unit, pieceLength: unit, known, root: '0'.repeat(64) };
    refreshes.told(digest, growth, { nowMs, unit: 1 });
  }
  expect(refreshes.deadlineMs).toBeLessThan(endMs + 300);
  expect(asks.filter((ms) => ms > 80_000 && ms < 90_000)).toHaveLength(5);
});

test('where only the last piece is not known, it is asked for as one that has just been heard of', () => {
  const refreshes = new Refreshes();
  const told = (nowMs: number, known: number): void => {
    refreshes.take(nowMs);
    refreshes.told(digest, testGrowth(known), { nowMs, unit: 1 });
  };
  told(0, 1);
  told(60_000, 8);
  const every = refreshes.deadlineMs - 60_000;
  told(62_000, 9);
  const asks: number[] = [];
  for (let { deadlineMs } = refreshes; deadlineMs < 92_000; { deadlineMs } = refreshes) {
    asks.push(deadlineMs - 62_000);
    told(deadlineMs, 9);
  }
  expect(every).toBeGreaterThan(1_000);
  expect(asks[0]).toBeLessThan(50);
  expect(asks.filter((ms) => ms < 1_000).length).toBeLessThan(20);
  // And once it has been so for long, as rarely as any other.
  expect(asks.at(-1)! - asks.at(-2)!).toBeGreaterThan(1_000);
});
