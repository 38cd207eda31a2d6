/**
 * A bucket that a Kraken and a Shoal share while hosts move from the one to the other: each sees what the other has pushed,
 * blobs and tags, at the keys that Kraken gives them. The Kraken is what it would leave in the bucket, file by file.
 */

import { readdir } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { KRAKEN_INDEX } from '../core/contracts/kraken/index.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { type Parts, startParts } from './cluster.fixtures.ts';
import { madeImage, pulled, pushImage, removeTag, statusOf } from './images.fixtures.ts';
import { KrakenBucket } from './kraken-bucket.fixtures.ts';

const patience = { timeout: 60_000, interval: 200 } as const;
const clusters: Cluster[] = [];
let bucket: KrakenBucket;
let parts: Parts;

/** Another Shoal on the bucket, with empty disks: as if the first one were lost, or other hosts had moved. */
async function started(): Promise<Parts> {
  const cluster = await Cluster.make();
  clusters.push(cluster);
  bucket ??= new KrakenBucket(cluster.dataOf('bucket'));
  await bucket.make();
  return await startParts(cluster, { backends: [bucket.backend], index: {} });
}
beforeAll(async () => {
  parts = await started();
}, 180_000);
afterAll(async () => {
  for (const cluster of clusters) await cluster[Symbol.asyncDispose]();
});

const manifestOf = (repo: string, tag: string, by = parts) => pulled(by.agent, OCI_PATHS.manifest(repo, tag));
const digestOf = async (repo: string, tag: string, by = parts): Promise<string> =>
  (await fetch(by.agent.url('admin') + KRAKEN_INDEX.get.path({ tag: `${repo}:${tag}` }))).text();

test('what Kraken has pushed is pulled here, and follows Kraken when it moves the tag', async () => {
  const [one, two] = [madeImage([5_000, 70_000]), madeImage([6_000])];
  await bucket.putImage('team/theirs', 'latest', one);
  expect((await manifestOf('team/theirs', 'latest')).equals(one.bytes)).toBe(true);
  for (const { digest, bytes } of one.blobs)
    expect((await pulled(parts.agent, OCI_PATHS.blob('team/theirs', digest))).equals(bytes)).toBe(true);
  await bucket.putImage('team/theirs', 'latest', two);
  await vi.waitFor(async () => expect(await digestOf('team/theirs', 'latest')).toBe(two.digest), patience);
  expect((await manifestOf('team/theirs', 'latest')).equals(two.bytes)).toBe(true);
  // It was only read: nothing was written beside it.
  const beside = await readdir(bucket.folderOf('team/theirs'));
  expect(beside).toEqual(['_manifests']);
}, 90_000);

test('what is pushed here Kraken reads at its keys, byte for byte, and again when the tag is moved', async () => {
  const [one, two] = [madeImage([5_000, 70_000]), madeImage([6_000])];
  for (const image of [one, two]) {
    await pushImage(parts.proxy, 'team/ours', image, ['latest']);
    await vi.waitFor(async () => expect(await bucket.tag('team/ours', 'latest')).toBe(image.digest), patience);
    for (const { digest, bytes } of [image, ...image.blobs])
      expect((await bucket.blob(digest))?.equals(bytes), digest).toBe(true);
  }
}, 90_000);

test('a tag of Kraken that is pushed to here is here, there, and at whoever starts anew', async () => {
  const [theirs, ours] = [madeImage([5_000]), madeImage([6_000])];
  await bucket.putImage('team/both', '1', theirs);
  expect(await digestOf('team/both', '1')).toBe(theirs.digest);
  await pushImage(parts.proxy, 'team/both', ours, ['1']);
  expect(await digestOf('team/both', '1')).toBe(ours.digest);
  await vi.waitFor(async () => expect(await bucket.tag('team/both', '1')).toBe(ours.digest), patience);

  const later = madeImage([7_000]);
  await bucket.putImage('team/both', '2', later);
  await pushImage(parts.proxy, 'team/both', later, ['3']);
  await vi.waitFor(async () => expect(await bucket.tag('team/both', '3')).toBe(later.digest), patience);
  const other = await started();
  const digests = await Promise.all(['1', '2', '3'].map((tag) => digestOf('team/both', tag, other)));
  expect(digests).toEqual([ours.digest, later.digest, later.digest]);
  expect((await manifestOf('team/both', '1', other)).equals(ours.bytes)).toBe(true);
}, 240_000);

test('a tag that is removed here stays in Kraken, as nothing is removed from the bucket, and stays removed here', async () => {
  const image = madeImage([5_000]);
  await pushImage(parts.proxy, 'team/gone', image, ['1']);
  await vi.waitFor(async () => expect(await bucket.tag('team/gone', '1')).toBe(image.digest), patience);
  await removeTag(parts.proxy, 'team/gone', '1');
  expect(await statusOf(parts.agent, OCI_PATHS.manifest('team/gone', '1'))).toBe(404);
  expect(await bucket.tag('team/gone', '1')).toBe(image.digest);
}, 180_000);
