import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { announceEntriesMax } from '../contracts/tracker.ts';
import type { Digest } from '../digest.ts';
import { testDigest, testMeta, testPeer } from '../handout/fixtures.ts';
import { digests, entries, one, three, two, World } from './announcer.fixtures.ts';
import { announceTiming } from './timing.ts';

describe('announcer: batches', () => {
  test('an image goes out as one batch within 10 ms', () => {
    const world = new World();
    for (const digest of digests(60)) {
      world.tell({ kind: 'set', digest, state: 'want' });
      world.tell({ kind: 'seek', digest, count: 8 });
    }
    world.run(10);
    expect(world.sent).toHaveLength(1);
    expect(world.sent[0]!.body.entries).toHaveLength(60);
    expect(world.sent[0]!.body.entries.every(({ seek, state }) => seek === 8 && state === 'want')).toBe(true);
    expect(world.answers).toHaveLength(60);
  });

  test('thousands of cached blobs are announced once, then renewed by empty requests', () => {
    const world = new World();
    const count = 2 * announceEntriesMax + 1000;
    for (const digest of digests(count)) world.tell({ kind: 'set', digest, state: 'have' });
    world.run(1000);
    expect(world.sent.map(({ body }) => body.entries.length)).toEqual([announceEntriesMax, announceEntriesMax, 1000]);
    world.run(61_000);
    expect(world.sent.length).toBeLessThanOrEqual(3 + 8);
    expect(entries(world)).toHaveLength(count);
    expect(world.trackers.get(one)!.stats.leases).toBe(count);
  });

  test('seeks overtake other news', () => {
    const world = new World();
    for (const digest of digests(3 * announceEntriesMax)) world.tell({ kind: 'set', digest, state: 'have' });
    const wanted = testDigest(99_999);
    world.tell({ kind: 'set', digest: wanted, state: 'want' });
    world.tell({ kind: 'seek', digest: wanted, count: 4 });
    world.run(10);
    expect(world.sent[0]!.body.entries[0]).toEqual({ digest: wanted, state: 'want', seek: 4 });
  });

  test('nothing to say: nothing is sent, and no tick is due', () => {
    const world = new World();
    expect(world.announcer.deadlineMs).toBe(Number.POSITIVE_INFINITY);
    world.tell({ kind: 'set', digest: testDigest(1), state: 'have' });
    world.tell({ kind: 'unset', digest: testDigest(1) });
    world.tell({ kind: 'seek', digest: testDigest(1), count: 3 });
    world.run(60_000);
    expect(world.sent).toEqual([]);
    expect(world.announcer.deadlineMs).toBe(Number.POSITIVE_INFINITY);
  });

  test('what is unset is told as gone, and then there is nothing to renew', () => {
    const world = new World();
    world.tell({ kind: 'set', digest: testDigest(1), state: 'have' });
    world.run(1000);
    world.tell({ kind: 'unset', digest: testDigest(1) });
    world.run(2000);
    expect(entries(world).map(({ state }) => state)).toEqual(['have', 'gone']);
    expect(world.trackers.get(one)!.stats.leases).toBe(0);
    expect(world.announcer.deadlineMs).toBe(Number.POSITIVE_INFINITY);
  });

  test('only an origin tells metainfo, and at once', () => {
    const world = new World({ self: testPeer(1, 'origin') });
    world.tell({ kind: 'set', digest: testDigest(1), state: 'have', meta: testMeta(7) });
    world.run(10);
    expect(entries(world)[0]!.meta).toEqual(testMeta(7));
    expect(world.trackers.get(one)!.metaOf(testDigest(1))).toEqual(testMeta(7));
    const agent = new World();
    agent.tell({ kind: 'set', digest: testDigest(1), state: 'have', meta: testMeta(7) });
    agent.run(1000);
    expect(entries(agent)[0]).not.toHaveProperty('meta');
  });

  test('leaving ends every lease, and is the last that is said', () => {
    const world = new World({ trackers: [one, two, three] });
    for (const digest of digests(50)) world.tell({ kind: 'set', digest, state: 'have' });
    world.run(1000);
    world.tell({ kind: 'leave' });
    for (const handout of world.trackers.values()) expect(handout.stats).toMatchObject({ leases: 0, nodes: 0 });
    const before = world.sent.length;
    world.tell({ kind: 'set', digest: testDigest(1), state: 'want' });
    world.run(60_000);
    expect(world.sent).toHaveLength(before);
  });
});

describe('announcer: answers', () => {
  test('unavailable is asked again with growing delays until there is an answer, then no more', () => {
    const world = new World();
    const digest = testDigest(1);
    world.tell({ kind: 'set', digest, state: 'want' });
    world.tell({ kind: 'seek', digest, count: 5 });
    world.run(8000);
    const times = world.sent.filter(({ body }) => body.entries.length > 0).map(({ atMs }) => atMs);
    expect(times.length).toBeGreaterThan(5);
    expect(times.length).toBeLessThan(15);
    expect(times[1]! - times[0]!).toBeLessThanOrEqual(100);
    expect(world.answers.every(({ error }) => error === 'unavailable')).toBe(true);
    const origin = testPeer(1, 'origin');
    world.trackers.get(one)!.handle({ kind: 'located', digest, meta: testMeta(1), origins: [origin] }, world.nowMs);
    world.run(12_000);
    expect(world.answers.at(-1)).toMatchObject({ digest, peers: [origin], meta: testMeta(1) });
    const answered = world.answers.length;
    world.run(100_000);
    expect(world.answers).toHaveLength(answered);
  });

  test('a blob that is no longer wanted is neither asked for again nor answered', () => {
    const world = new World();
    world.tell({ kind: 'set', digest: testDigest(1), state: 'want' });
    world.tell({ kind: 'seek', digest: testDigest(1), count: 5 });
    world.run(10);
    world.tell({ kind: 'set', digest: testDigest(1), state: 'have' });
    const answered = world.answers.length;
    world.run(20_000);
    expect(world.answers).toHaveLength(answered);
    expect(entries(world).filter(({ seek }) => seek > 0)).toHaveLength(1);
  });
});

describe('announcer: trackers come and go', () => {
  test('spreads digests over trackers, and every host agrees where', () => {
    const world = new World({ trackers: [one, two, three] });
    const other = new World({ trackers: [three, one, two], self: testPeer(2) });
    for (const digest of digests(300)) {
      expect(other.announcer.order(digest)).toEqual(world.announcer.order(digest));
      world.tell({ kind: 'set', digest, state: 'have' });
    }
    world.run(1000);
    const held = [one, two, three].map((id) => world.trackers.get(id)!.stats.leases);
    expect(held.reduce((sum, n) => sum + n)).toBe(300);
    for (const count of held) expect(count).toBeGreaterThan(70);
  });

  test('a seek goes to the next tracker at once when the first fails, and home when it recovers', () => {
    const world = new World({ trackers: [one, two, three] });
    const digest = testDigest(1);
    const [first, second] = world.announcer.order(digest) as [string, string];
    world.cut.add(first);
    world.tell({ kind: 'set', digest, state: 'want' });
    world.tell({ kind: 'seek', digest, count: 5 });
    world.run(20);
    expect(world.sent.map(({ tracker }) => tracker)).toEqual([first, second]);
    expect(world.sent[1]!.body.entries).toEqual([{ digest, state: 'want', seek: 5 }]);
    expect(world.announcer.order(digest)[0]).toBe(second);
    world.cut.clear();
    world.run(6000);
    expect(world.announcer.stats).toMatchObject({ held: 1, down: 0 });
    expect(world.trackers.get(first)!.stats.leases).toBe(1);
    expect(world.trackers.get(second)!.stats.leases).toBe(0);
  });

  test('with every tracker down it says so once a seek, backs off, and recovers', () => {
    const world = new World({ trackers: [one, two] });
    world.cut.add(one).add(two);
    world.tell({ kind: 'set', digest: testDigest(1), state: 'want' });
    world.tell({ kind: 'seek', digest: testDigest(1), count: 5 });
    world.run(60_000);
    expect(world.sent.length).toBeGreaterThan(20);
    expect(world.sent.length).toBeLessThan(60);
    expect(world.answers).toEqual([]);
    expect(world.alone).toMatchObject([{ digest: testDigest(1) }]);
    expect(world.alone[0]!.atMs).toBeLessThan(20);
    world.tell({ kind: 'seek', digest: testDigest(1), count: 5 });
    expect(world.alone.at(-1)?.atMs).toBe(60_000);
    world.cut.clear();
    world.run(66_000);
    expect(world.announcer.stats).toMatchObject({ held: 1, down: 0 });
    expect(entries(world).at(-1)).toMatchObject({ seek: 5 });
  });

  test('a tracker that hangs is waited for once: then a seek is told of at once, until it answers again', () => {
    const world = new World();
    world.hung.add(one);
    const [first, meanwhile, second] = digests(3) as [Digest, Digest, Digest];
    world.tell({ kind: 'set', digest: first, state: 'want' });
    world.tell({ kind: 'seek', digest: first, count: 5 });
    world.run(1_000);
    world.tell({ kind: 'set', digest: meanwhile, state: 'want' });
    world.tell({ kind: 'seek', digest: meanwhile, count: 5 });
    world.run(1_500);
    const { aloneMs } = announceTiming;
    expect(world.alone).toEqual([
      { digest: first, atMs: aloneMs },
      { digest: meanwhile, atMs: 1_000 },
    ]);
    world.tell({ kind: 'failed', request: world.waiting.shift() as number });
    world.tell({ kind: 'set', digest: second, state: 'want' });
    world.tell({ kind: 'seek', digest: second, count: 5 });
    expect(world.alone.slice(2)).toEqual([{ digest: second, atMs: 1_500 }]);
    world.hung.clear();
    world.run(8_000);
    expect(world.alone).toHaveLength(3);
    expect(world.announcer.stats).toMatchObject({ held: 3, down: 0 });
    expect(new Set(entries(world).flatMap(({ digest, seek }) => (seek > 0 ? [digest] : [])))).toEqual(
      new Set([first, meanwhile, second]),
    );
  });

  test('where another tracker is up, one that hangs makes a seek wait no longer than patience: then both are asked', () => {
    const world = new World({ trackers: [one, two] });
    const digest = testDigest(7);
    const [first, second] = world.announcer.order(digest) as [string, string];
    world.hung.add(first);
    world.tell({ kind: 'set', digest, state: 'want' });
    world.tell({ kind: 'seek', digest, count: 5 });
    const { aloneMs, batchMs } = announceTiming;
    world.run(aloneMs + batchMs);
    expect(world.alone).toEqual([{ digest, atMs: aloneMs }]);
    expect(world.sent.at(-1)).toMatchObject({ tracker: second, body: { entries: [{ digest, seek: 5 }] } });
    // What is sought next of it is sought there at once.
    const other = digests(99).find((some) => some !== digest && world.announcer.order(some)[0] === first) as Digest;
    world.tell({ kind: 'set', digest: other, state: 'want' });
    world.tell({ kind: 'seek', digest: other, count: 3 });
    world.run(aloneMs + 3 * batchMs);
    expect(world.sent.at(-1)).toMatchObject({ tracker: second, body: { entries: [{ digest: other, seek: 3 }] } });
    world.tell({ kind: 'failed', request: world.waiting.shift() as number });
    world.tell({ kind: 'seek', digest, count: 5 });
    world.run(4_000);
    expect(world.alone).toHaveLength(1);
  });

  test('one that hung and answers after all has what was sought of it back, and nobody else', () => {
    const world = new World({ trackers: [one, two] });
    const digest = testDigest(7);
    const [first, second] = world.announcer.order(digest) as [string, string];
    world.hung.add(first);
    world.tell({ kind: 'set', digest, state: 'want' });
    world.tell({ kind: 'seek', digest, count: 5 });
    world.run(1_000);
    expect([world.knows(first, digest), world.knows(second, digest)]).toEqual([false, true]);
    world.hung.clear();
    const request = world.waiting.shift() as number;
    world.tell({ kind: 'reply', request, reply: { leaseMs: 30_000, intervalMs: 10_000, answers: [] } });
    world.run(5_000);
    expect([world.knows(first, digest), world.knows(second, digest)]).toEqual([true, false]);
  });

  test('nobody is alone while a tracker answers, whatever it says; and not of what is wanted no more', () => {
    const world = new World();
    const [first, second] = digests(2) as [Digest, Digest];
    world.tell({ kind: 'set', digest: first, state: 'want' });
    world.tell({ kind: 'seek', digest: first, count: 5 });
    world.run(30_000);
    expect(world.answers.length).toBeGreaterThan(3);
    world.hung.add(one);
    world.tell({ kind: 'set', digest: second, state: 'want' });
    world.tell({ kind: 'seek', digest: second, count: 5 });
    world.tell({ kind: 'unset', digest: second });
    world.tell({ kind: 'unset', digest: first });
    world.run(40_000);
    expect(world.alone).toEqual([]);
  });

  test('greeted, each tracker speaks once though there is nothing to announce, or is tried until it does', () => {
    const world = new World({ trackers: [one, two] });
    world.cut.add(two);
    world.tell({ kind: 'greet' });
    world.run(20_000);
    const to = (id: string): number => world.sent.filter(({ tracker }) => tracker === id).length;
    expect([to(one), world.announcer.isUp(one), world.announcer.isUp(two)]).toEqual([1, true, false]);
    expect(to(two)).toBeGreaterThan(5);
    world.cut.clear();
    world.run(26_000);
    const tries = to(two);
    world.run(90_000);
    expect([to(one), to(two), world.announcer.stats.down]).toEqual([1, tries, 0]);
    expect(entries(world)).toEqual([]);
  });

  test('a tracker that was restarted is told everything again within an interval', () => {
    const world = new World();
    for (const digest of digests(3000)) world.tell({ kind: 'set', digest, state: 'have' });
    world.run(1000);
    world.restart(one);
    world.run(12_000);
    expect(world.trackers.get(one)!.stats.leases).toBe(3000);
    expect(world.announcer.stats.held).toBe(3000);
  });

  test('a tracker that asks for everything for ever is obeyed once an interval', () => {
    const world = new World();
    for (const digest of digests(10)) world.tell({ kind: 'set', digest, state: 'have' });
    for (let second = 1; second <= 60; second++) {
      world.restart(one);
      world.run(second * 1000);
    }
    expect(entries(world).length).toBeLessThanOrEqual(10 * 9);
  });

  test('whatever is said and lost, in the end each blob is at its first tracker and nowhere else', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const trackers = [one, two, three];
        const world = new World({ trackers, seed });
        const { random } = world;
        const model = new Map<Digest, 'want' | 'have'>();
        for (let step = 0; step < 200; step++) {
          const digest = testDigest(random.below(20));
          const tracker = trackers[random.below(3)]!;
          const toggled = [world.cut, world.deaf][random.below(2)]!;
          const kind = random.below(8);
          if (kind < 3) {
            const state = random.below(2) === 0 ? 'want' : 'have';
            model.set(digest, state);
            world.tell({ kind: 'set', digest, state });
          } else if (kind < 5) {
            model.delete(digest);
            world.tell({ kind: 'unset', digest });
          } else if (kind === 5) world.tell({ kind: 'seek', digest, count: 1 + random.below(9) });
          else if (kind === 6) world.restart(tracker);
          else if (!toggled.delete(tracker)) toggled.add(tracker);
          world.run(world.nowMs + random.below(2000));
        }
        world.cut.clear();
        world.deaf.clear();
        world.run(world.nowMs + 60_000);
        for (const handout of world.trackers.values()) handout.handle({ kind: 'tick' }, world.nowMs);
        expect(world.announcer.stats).toEqual({ blobs: model.size, held: model.size, down: 0 });
        const leases = [...world.trackers.values()].reduce((sum, handout) => sum + handout.stats.leases, 0);
        expect(leases).toBe(model.size);
        for (const digest of model.keys()) expect(world.knows(world.announcer.order(digest)[0]!, digest)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});
