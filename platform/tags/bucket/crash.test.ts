/**
 * A process that ends between any two writes of any method: what was acknowledged before is there, what was not has
 * happened or not, the same call goes through afterwards, and nothing that is referred to is condemned.
 */

import { afterEach, describe, expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { prng } from '../../../core/prng.ts';
import { realClock } from '../../net/clock.ts';
import type { NamedWrites, TagStore } from '../store.ts';
import { FaultyBucket, type FaultyBucketOptions, neverHeldUp, SharedBucket } from './faulty-bucket.fixtures.ts';
import { BucketTagStore } from './store.ts';

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const [one, two, layer, other, signed] = [digest(1), digest(2), digest(100), digest(101), digest(9)] as const;
const image = (more: object = {}) => ({ mediaType: 'm/x', size: 5, tags: [], blobs: [], manifests: [], ...more });
const hourMs = 3_600_000;
const open: BucketTagStore[] = [];
afterEach(async () => {
  for (const store of open.splice(0)) await store[Symbol.asyncDispose]();
});

function process(shared: SharedBucket, more: Omit<FaultyBucketOptions, 'prng'> = {}, seed = 1) {
  const objects = new FaultyBucket(shared, { prng: prng(seed), ...more });
  const store = new BucketTagStore({
    objects,
    prefix: 'x/',
    time: realClock,
    hangs: neverHeldUp,
    close: async () => undefined,
  });
  open.push(store);
  return { objects, store };
}

/** Two images on one layer, with tags, and what each write begins from. */
async function filled(): Promise<SharedBucket> {
  const shared = new SharedBucket();
  const { store } = process(shared);
  for (const blob of [layer, other]) await store.linkBlob('a', blob, { size: 9 });
  await store.putManifest('a', one, image({ tags: ['x', 'y'], blobs: [layer] }), 0);
  await store.putManifest('a', two, image({ tags: ['z'], blobs: [layer, other], subject: signed }), 0);
  return shared;
}

type Writes = NamedWrites & Pick<TagStore, 'linkBlob' | 'mount'>;
const writes: Readonly<Record<string, (store: Writes) => Promise<unknown>>> = {
  'a push': (store) =>
    store.putManifest('a', digest(3), image({ tags: ['x', 'new'], blobs: [layer], subject: one }), 0),
  'a push of what is there': (store) => store.putManifest('a', one, image({ tags: ['z'], blobs: [layer] }), 0),
  'a push of the same with other references': (store) =>
    store.putManifest('a', two, image({ tags: ['z'], blobs: [layer], size: 6 }), 0),
  'a tag that moves': (store) => store.putTag('a', 'x', { digest: two }),
  'a tag that is deleted': (store) => store.deleteTag('a', 'x'),
  'a manifest that is deleted': (store) => store.deleteManifest('a', one, 0),
  'a blob that is linked': (store) => store.linkBlob('b', digest(200), { size: 1 }),
  'a blob that is mounted': (store) => store.mount('b', layer, 'a'),
  'a blob that is unlinked': (store) => store.unlinkBlob('a', layer, 0),
};

/** Every tag leads to a manifest, and every manifest to what it refers to. */
async function whole(store: BucketTagStore): Promise<void> {
  await store.mend();
  const { tags } = (await store.tags('a', { n: 100 })) ?? { tags: [] };
  for (const tag of tags) {
    const found = await store.tag('a', tag);
    const { version: _, ...record } = found ?? {};
    expect({ tag, record: await store.manifest('a', found?.digest ?? one) }).toEqual({ tag, record });
  }
  const manifests = [one, two, digest(3)];
  for (const manifest of manifests) {
    if ((await store.manifest('a', manifest)) === undefined) continue;
    const { blobs } = await store.references('a', manifest);
    const asked = { nowMs: 100 * hourMs, unlinkedMs: 0 };
    expect((await store.condemn([manifest, ...blobs], asked)).condemned).toEqual([]);
  }
}

/** What the store says, all of it that somebody asks for; without versions, which each attempt has of its own. */
async function said(store: TagStore): Promise<unknown> {
  const repos = ['a', 'b'];
  const digests = [one, two, digest(3), layer, other, signed, digest(200)];
  return {
    catalog: await store.catalog({ n: 9 }),
    unlinked: (await store.unlinked(digests)).unlinked,
    repos: await Promise.all(
      repos.map(async (repo) => ({
        tags: await Promise.all(
          ((await store.tags(repo, { n: 9 })) ?? { tags: [] }).tags.map(async (tag) => {
            return { ...(await store.tag(repo, tag)), tag, version: undefined };
          }),
        ),
        digests: await Promise.all(
          digests.map(async (of) => [
            await store.manifest(repo, of),
            await store.blob(repo, of),
            await store.referrers(repo, of, { n: 9 }),
            await store.listed(repo, of),
          ]),
        ),
      })),
    ),
  };
}

describe.each(Object.entries(writes))('%s', (_, write) => {
  test.each([
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ])('ends at any of its writes (which is made: %s), and is made again (by name: %s)', async (crashMakes, named) => {
    const name = '0f'.repeat(16);
    const of = (store: TagStore, again = false): Writes =>
      named ? { linkBlob: store.linkBlob, mount: store.mount, ...store.named({ name, again }) } : store;
    const whileAlive = await filled();
    const counting = process(whileAlive);
    await counting.store.start();
    const before = counting.objects.writes;
    await write(of(counting.store));
    const count = counting.objects.writes - before;
    const expected = await said(counting.store);
    expect(count).toBeGreaterThan(0);
    for (let at = 0; at < count; at++) {
      const shared = await filled();
      const dying = process(shared, { crashAt: before + at, crashMakes });
      // A mark that is left over is no failure.
      await write(of(dying.store)).catch(() => undefined);
      expect(dying.objects.crashed).toBe(true);
      const { store } = process(shared);
      await whole(store);
      const outcome = await write(of(store, true));
      if (named) expect(await write(of(store, true))).toEqual(outcome);
      await whole(store);
      // Of a manifest that went as its remover died nobody knows any more since when.
      expect(await said(store)).toEqual(expected);
    }
  });
});

test('a thousand writes of three processes on a bucket that fails: what is acknowledged is there, and nothing it needs is condemned', async () => {
  for (let seed = 1; seed <= 6; seed++) await mixed(seed);
}, 60_000);

/** Each tag is written by one process alone: what it acknowledged last is where the tag is, or what was not answered since. */
async function mixed(seed: number): Promise<void> {
  const random = prng(seed);
  const shared = new SharedBucket();
  const calm = process(shared).store;
  await calm.start();
  const all = [0, 1, 2].map((no) => process(shared, { failPercent: 0 }, seed * 10 + no));
  for (const { store, objects } of all) {
    await store.start();
    objects.failPercent = 3;
  }
  const may = new Map<string, Set<string | undefined>>();
  const condemned = new Set<Digest>();
  const act = async (no: number): Promise<void> => {
    const { store } = all[no] as (typeof all)[number];
    for (let step = 0; step < 60; step++) {
      const [tag, to, blob] = [`t${no}-${random.below(3)}`, digest(random.below(6)), digest(100 + random.below(4))];
      const known = may.get(tag) ?? new Set([undefined]);
      may.set(tag, known);
      const put = random.below(4) > 0;
      try {
        const proof = await store.linkBlob('a', blob, { size: 9 });
        if (proof !== undefined) await store.linkBlob('a', blob, { size: 9, proof });
        if (put) {
          known.add(to);
          const asked = { ...image({ tags: [tag], blobs: [blob] }) };
          let { missing, unproved, version } = await store.putManifest('a', to, asked, 0);
          if (unproved !== undefined)
            ({ missing, version } = await store.putManifest('a', to, { ...asked, proof: unproved }, 0));
          if (missing.length === 0 && version !== undefined) may.set(tag, new Set([to]));
        } else {
          known.add(undefined);
          await store.deleteTag('a', tag);
          may.set(tag, new Set([undefined]));
        }
        if (random.below(5) === 0) {
          await store.unlinkBlob('a', blob, 0);
          const reply = await store.condemn([blob], { nowMs: hourMs, unlinkedMs: 0 });
          for (const gone of reply.condemned) condemned.add(gone);
        }
      } catch (error) {
        expect(error).toMatchObject({ code: 'UNAVAILABLE' });
      }
      if (random.below(10) === 0) await shared.arrive(random);
    }
  };
  await Promise.all([0, 1, 2].map(act));
  await shared.arrive(random);
  await calm.mend();
  for (const [tag, digests] of may) {
    const found = await calm.tag('a', tag);
    expect({ seed, tag, on: [...digests] }).toEqual({
      ...{ seed, tag },
      on: digests.has(found?.digest) ? [...digests] : `it is on ${found?.digest}`,
    });
    if (found === undefined) continue;
    expect(await calm.manifest('a', found.digest)).toMatchObject({ digest: found.digest });
    const { blobs } = await calm.references('a', found.digest);
    const reply = await calm.condemn([found.digest, ...blobs], { nowMs: 9 * hourMs, unlinkedMs: 0 });
    expect({ seed, tag, ...reply }).toMatchObject({ condemned: [], waiting: 0 });
  }
}
