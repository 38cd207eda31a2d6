/** Processes that write, and tell, at once, their requests in the orders that some seeds give; and one that is stopped. */

import { afterEach, expect, test } from 'vitest';
import type { Digest } from '../../../../core/digest.ts';
import { prng } from '../../../../core/prng.ts';
import { SharedBucket } from '../faulty-bucket.fixtures.ts';
import type { BucketTagStore } from '../store.ts';
import { differing, hook, TestClock, Told, telling } from './told.fixtures.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const [one, two, layer] = [digest(1), digest(2), digest(100)] as const;
const image = (more: object = {}) => ({ mediaType: 'm/x', size: 5, tags: [], blobs: [], manifests: [], ...more });
const names = { tags: ['x', 'y'], manifests: [one, two], blobs: [layer] };
const open: BucketTagStore[] = [];
afterEach(async () => {
  for (const store of open.splice(0)) await store[Symbol.asyncDispose]();
});

function process(...args: Parameters<typeof telling>): BucketTagStore {
  const { store } = telling(...args);
  open.push(store);
  return store;
}

test('whoever writes and tells at once: all is told in the end, each event once for each write, those of a tag in their order', async () => {
  for (let seed = 0; seed < 60; seed++) {
    const [shared, clock, told] = [new SharedBucket(), new TestClock(), new Told()];
    const stores = [1, 2, 3].map((no) => process(shared, clock, { prng: prng(3 * seed + no), turnsMax: 30 }));
    const [first, second, third] = stores as [BucketTagStore, BucketTagStore, BucketTagStore];
    for (const manifest of [one, two]) await first.putManifest('a', manifest, image(), 0);
    await first.linkBlob('a', layer, { size: 9 });
    const random = prng(seed);
    const versions: string[] = [];
    const write = async (store: BucketTagStore): Promise<void> => {
      for (let step = 0; step < 14; step++) {
        const tag = names.tags[random.below(2)] as string;
        const done =
          random.below(4) === 0
            ? await store.deleteTag('a', tag)
            : await store.putTag('a', tag, { digest: random.below(2) === 0 ? one : two });
        if (done !== undefined && 'version' in done) versions.push(`${tag} ${done.version}`);
      }
    };
    let writing = true;
    const tell = async (store: BucketTagStore): Promise<void> => {
      while (writing) {
        // A claim of another one ends now and then.
        clock.nowMs += random.below(3) === 0 ? 101 : 1;
        await told.turn(store, clock);
      }
    };
    const tellers = [tell(second), tell(third)];
    await Promise.all([write(first), write(second), write(first)]);
    if (seed % 3 === 0) await Promise.all([first.deleteManifest('a', one, 0), first.putTag('a', 'x', { digest: one })]);
    if (seed % 3 === 1) await first.unlinkBlob('a', layer, 0);
    writing = false;
    await Promise.all(tellers);
    await told.drain(third, clock);
    expect({ seed, wrong: await differing(third, told, names) }).toEqual({ seed, wrong: [] });
    expect(await third.outbox()).toEqual([]);
    const events = told.events.filter(({ kind }) => kind === 'tag').map(({ name, version }) => `${name} ${version}`);
    for (const version of versions) expect(events).toContain(version);
    for (const tag of names.tags) {
      const of = told.events.filter(({ kind, name }) => kind === 'tag' && name === tag);
      const numbers = [...new Map(of.map(({ version }) => [version, Number.parseInt(version, 10)])).values()];
      expect({ seed, tag, numbers }).toEqual({ seed, tag, numbers: numbers.toSorted((a, b) => a - b) });
    }
  }
}, 60_000);

test('one that is stopped loses its claim, and what it says when it goes on removes nothing that came since', async () => {
  const [shared, clock, told] = [new SharedBucket(), new TestClock(), new Told()];
  const [stopped, other] = [process(shared, clock), process(shared, clock)];
  await other.putManifest('a', one, image({ tags: ['x'] }), 0);
  await other.putManifest('a', two, image(), 0);
  const claimOf = async (store: BucketTagStore, target = 'main') =>
    (await store.claim(target, { nowMs: clock.nowMs, n: 9, untilMs: clock.nowMs + 100 })).filter(
      ({ kind }) => kind === 'tag' || target === hook.name,
    );
  const [held] = await claimOf(stopped);
  const [event] = await claimOf(stopped, hook.name);
  expect([held, event]).toMatchObject([{ name: 'x', digest: one }, { name: 'x' }]);
  expect([await claimOf(other), await claimOf(other, hook.name)]).toEqual([[], []]);
  await other.putTag('a', 'x', { digest: two });
  clock.nowMs += 99;
  expect(await claimOf(other)).toEqual([]);
  clock.nowMs += 1;
  const [mine] = await claimOf(other);
  expect(mine).toMatchObject({ name: 'x', digest: two });
  // It goes on: with the version that it was given, and with its claim.
  await stopped.written(held!);
  await stopped.hold([held!], clock.nowMs + 100);
  expect(await stopped.claim('main', { nowMs: clock.nowMs, n: 9, untilMs: clock.nowMs + 100 })).toEqual([]);
  expect(await other.pending(mine!)).toMatchObject({ digest: two });
  await other.written(mine!);
  expect(await stopped.pending(mine!)).toBeUndefined();
  await stopped.failed(held!, { cause: 'late', dueMs: 9e15, dead: true });
  await stopped.written(event!);
  await told.drain(other, clock);
  expect(told.events.map(({ kind, digest: on }) => `${kind} ${on === one ? 1 : 2}`)).toEqual(['manifest 2', 'tag 2']);
  expect(await other.outbox()).toEqual([]);
});

test('one process that ends lets others go on at once; while nothing waits nobody asks the bucket much', async () => {
  const [shared, clock] = [new SharedBucket(), new TestClock()];
  const leaving = process(shared, clock);
  const { store: other, objects } = telling(shared, clock);
  open.push(other);
  await leaving.putManifest('a', one, image({ tags: ['x'] }), 0);
  const at = { nowMs: clock.nowMs, n: 9, untilMs: clock.nowMs + 100 };
  const rows = await leaving.claim('main', at);
  await leaving.hold(rows, 0);
  expect(await other.claim('main', at)).toHaveLength(2);
  await new Told().drain(other, clock);
  expect(await other.nextDueMs('main')).toBeUndefined();
  const asked = objects.asked;
  for (let look = 0; look < 50; look++) {
    expect(await other.nextDueMs(look % 2 ? 'main' : hook.name)).toBeUndefined();
    expect(await other.outbox()).toEqual([]);
  }
  expect(objects.asked).toBe(asked);
  await other.putTag('a', 'x', { digest: one });
  expect(await other.nextDueMs('main')).toBe(clock.nowMs);
});

test('a link that ends because nobody used it is told as gone', async () => {
  const [shared, clock, told] = [new SharedBucket(), new TestClock(), new Told()];
  const store = process(shared, clock);
  for (const repo of ['a', 'b']) await store.linkBlob(repo, layer, { size: 9 });
  await told.drain(store, clock);
  expect(await differing(store, told, names)).toEqual([]);
  const at = (nowMs: number) => ({ nowMs, unlinkedMs: 10, idle: {} });
  await store.condemn([layer], at(clock.nowMs));
  expect((await store.condemn([layer], at(clock.nowMs + 10))).condemned).toEqual([layer]);
  await told.drain(store, clock);
  expect([await store.blob('a', layer), told.on('main', 'blob', layer)]).toEqual([undefined, null]);
  expect(await store.outbox()).toEqual([]);
});
