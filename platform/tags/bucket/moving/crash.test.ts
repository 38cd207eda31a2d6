/** A move into a bucket that breaks off at any of its writes, whether that one was made or not: what goes on with it is right. */

import { expect, test } from 'vitest';
import type { Digest } from '../../../../core/digest.ts';
import { prng } from '../../../../core/prng.ts';
import { realClock } from '../../../net/clock.ts';
import type { MoveSource } from '../../move/engine.ts';
import { moveTags } from '../../move/move.ts';
import { entriesOf, populate } from '../../move/moving.fixtures.ts';
import { FaultyBucket, neverHeldUp, SharedBucket } from '../faulty-bucket.fixtures.ts';
import { BucketTagStore } from '../store.ts';
import { bucketMoveSource, bucketMoveTarget } from './moving.ts';

const { signal } = new AbortController();
const close = async () => undefined;
const prefix = 'x/';
/** Each is a whole move: every so many writes. */
const stride = 5;
/** Two layers of one manifest are not looked at in one. */
const questions = 5;

const storeIn = ({ objects }: SharedBucket): BucketTagStore =>
  new BucketTagStore({ objects, prefix, time: realClock, hangs: neverHeldUp, close });

async function into(source: MoveSource, bucket: FaultyBucket | SharedBucket): Promise<void> {
  const objects = bucket instanceof SharedBucket ? bucket.objects : bucket;
  await using target = await bucketMoveTarget({ objects, prefix, close, signal }, source.database);
  await moveTags({ source, target, signal, progress: () => undefined });
}

test('wherever it breaks off', { timeout: 60_000 }, async () => {
  const old = new SharedBucket();
  await using first = storeIn(old);
  await populate(first);
  await using source = await bucketMoveSource({ objects: old.objects, prefix, close, signal });
  const all = await entriesOf(source);
  const digests = [...new Set(all.manifest.flatMap(({ digest, blobs }) => [digest, ...blobs]))];
  let whole = false;
  let crashes = 0;
  for (let crashAt = 0; !whole; crashAt += stride) {
    const shared = new SharedBucket();
    const crashMakes = crashAt % 2 === 0;
    const faulty = new FaultyBucket(shared, { prng: prng(crashAt), crashAt, crashMakes });
    whole = await into(source, faulty).then(
      () => true,
      () => false,
    );
    if (!whole) crashes += 1;
    if (!whole && faulty.writes > 0) await into(source, shared).catch(doneAlready);
    await using copy = await bucketMoveSource({ objects: shared.objects, prefix, close, signal });
    expect(await entriesOf(copy), `a crash at write ${crashAt}`).toEqual(all);
    await using store = storeIn(shared);
    // Marks are no entries: that all of them are there shows in what is linked.
    expect((await store.condemn(digests, { nowMs: 1e12, unlinkedMs: 1 })).condemned).toEqual([]);
    await emptied(store, all.manifest);
  }
  expect(crashes).toBeGreaterThan(20);
});

/** Its last write was made: it was whole. */
function doneAlready(error: Error): void {
  if (!/was that done already/.test(error.message)) throw error;
}

/** Once nothing refers to them, nor links to them, all may go. */
async function emptied(
  store: BucketTagStore,
  manifests: readonly { repo: string; digest: Digest; blobs: readonly Digest[] }[],
) {
  for (const { repo, digest } of manifests) expect(await store.deleteManifest(repo, digest, 0)).toBe(true);
  for (const { repositories } of [await store.catalog({ n: 100 })]) expect(repositories).toEqual([]);
  const layers = [...new Set(manifests.flatMap(({ blobs }) => blobs))];
  for (const layer of layers)
    for (const repo of (await store.holders(layer, { n: 100 })).repositories) await store.unlinkBlob(repo, layer, 0);
  // A mark of what broke off is removed by a question, and keeps its digest until the next one.
  const condemned = new Set<Digest>();
  for (let asked = 0; asked < questions; asked++)
    for (const digest of (await store.condemn(layers, { nowMs: 1e12 + asked, unlinkedMs: 1 })).condemned)
      condemned.add(digest);
  expect([...condemned].sort()).toEqual(layers.sort());
}
