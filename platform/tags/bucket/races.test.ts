/** Two processes at once, their requests in every order that some hundred seeds give: what one may not do to the other. */

import { afterEach, expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { prng } from '../../../core/prng.ts';
import { realClock } from '../../net/clock.ts';
import { FaultyBucket, neverHeldUp, SharedBucket } from './faulty-bucket.fixtures.ts';
import { BucketTagStore } from './store.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const [one, two, layer] = [digest(1), digest(2), digest(100)] as const;
const image = (more: object = {}) => ({ mediaType: 'm/x', size: 5, tags: [], blobs: [], manifests: [], ...more });
const hourMs = 3_600_000;
const seeds = Array.from({ length: 300 }, (_, seed) => seed);
const open: BucketTagStore[] = [];
afterEach(async () => {
  for (const store of open.splice(0)) await store[Symbol.asyncDispose]();
});

/** Two of one bucket. */
async function pair(seed: number): Promise<[BucketTagStore, BucketTagStore]> {
  const shared = new SharedBucket();
  const stores = [1, 2].map((no) => {
    const objects = new FaultyBucket(shared, { prng: prng(2 * seed + no), turnsMax: 30 });
    return new BucketTagStore({
      objects,
      prefix: 'x/',
      time: realClock,
      hangs: neverHeldUp,
      close: async () => undefined,
    });
  });
  open.push(...stores);
  const [first, second] = stores as [BucketTagStore, BucketTagStore];
  await first.start();
  await second.start();
  return [first, second];
}

test('a tag is not left on a manifest that is deleted as it is set', async () => {
  const ends = new Set<string>();
  for (const seed of seeds) {
    const [first, second] = await pair(seed);
    await first.putManifest('a', one, image(), 0);
    await first.putManifest('a', two, image({ tags: ['x'] }), 0);
    const [set, deleted] = await Promise.all([
      first.putTag('a', seed % 2 ? 'x' : 'new', { digest: one }),
      second.deleteManifest('a', one, 0),
    ]);
    expect(deleted).toBe(true);
    for (const tag of ['x', 'new']) expect((await second.tag('a', tag))?.digest).not.toBe(one);
    ends.add(set === undefined ? 'refused' : 'set, and deleted');
  }
  expect(ends.size).toBe(2);
});

test('a manifest that is pushed as it is deleted is there with its tag and all that it refers to, or not at all', async () => {
  const ends = new Set<boolean>();
  for (const seed of seeds) {
    const [first, second] = await pair(seed);
    await first.linkBlob('a', layer, { size: 9 });
    await first.putManifest('a', one, image({ tags: ['old'], blobs: [layer] }), 0);
    const more = seed % 2 ? {} : { size: 6 };
    await Promise.all([
      first.putManifest('a', one, image({ tags: ['x'], blobs: [layer], ...more }), 0),
      second.deleteManifest('a', one, 0),
    ]);
    const there = await second.manifest('a', one);
    const tag = await second.tag('a', 'x');
    expect({ seed, on: tag?.digest }).toEqual({ seed, on: there && one });
    await second.unlinkBlob('a', layer, 0);
    const { condemned } = await second.condemn([one, layer], { nowMs: 2 * hourMs, unlinkedMs: 0 });
    expect({ seed, condemned }).toEqual({ seed, condemned: there ? [] : [one, layer] });
    ends.add(there !== undefined);
  }
  expect(ends.size).toBe(2);
});

const linking: Readonly<Record<string, (store: BucketTagStore) => Promise<number | undefined>>> = {
  'a blob': (store) => store.linkBlob('b', layer, { size: 9 }),
  'a manifest': async (store) => (await store.putManifest('b', layer, image(), 0)).unproved,
};

test.each(Object.entries(linking))('%s is linked, or condemned, never both', async (_, link) => {
  const ends = new Set<string>();
  for (const seed of seeds) {
    const [first, second] = await pair(seed);
    // Every third time it is the first that anybody asks about it.
    if (seed % 3 > 0) await first.condemn([layer], { nowMs: 0, unlinkedMs: hourMs });
    const [unproved, { condemned }] = await Promise.all([
      link(first),
      second.condemn([layer], { nowMs: hourMs, unlinkedMs: seed % 3 > 0 ? hourMs : 0 }),
    ]);
    const there = (await second.unlinked([layer])).unlinked.length === 0;
    expect({ seed, condemned: condemned.length, there }).toEqual(
      unproved === undefined ? { seed, condemned: 0, there: true } : { seed, condemned: 1, there: false },
    );
    ends.add(String(unproved));
  }
  expect(ends.size).toBe(2);
});

test('who refers to a digest keeps it from being condemned, or is later than that; its reference counts in any case', async () => {
  for (const seed of seeds) {
    const [first, second] = await pair(seed);
    const at = { nowMs: hourMs, unlinkedMs: 0 };
    if (seed % 2) await first.condemn([two], at);
    await Promise.all([first.putManifest('a', one, image({ subject: two }), 0), second.condemn([two], at)]);
    expect((await first.referrers('a', two, { n: 9 })).manifests.length).toBe(1);
    expect((await second.condemn([two], { nowMs: 9 * hourMs, unlinkedMs: 0 })).condemned).toEqual([]);
  }
});

test('of writers of one tag in two processes each write has a version above the one before', async () => {
  for (const seed of seeds.slice(0, 50)) {
    const stores = await pair(seed);
    await stores[0].putManifest('a', one, image(), 0);
    const writes = Array.from({ length: 12 }, (_, i) => {
      const store = stores[i % 2] as BucketTagStore;
      return i % 5 === 4 ? store.deleteTag('a', 'x') : store.putTag('a', 'x', { digest: one });
    });
    const versions = (await Promise.all(writes)).flatMap((end) => (end && 'version' in end ? [end.version] : []));
    expect(new Set(versions).size).toBe(versions.length);
  }
});
