/** What lies where once all is quiet: what is referred to at the proxy and in the bucket, and nothing else on origins and there. */

import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { expect, vi } from 'vitest';
import type { Digest } from '../../../../core/digest.ts';
import { OCI_PATHS } from '../../../../core/oci/paths.ts';
import type { S3Server } from '../servers/s3.ts';
import { digestIn, type Load, type Place } from './load.ts';
import type { Site } from './site.ts';

/** What a process that died has claimed is claimed again after 20 s; what is garbage goes twice, a grace apart. */
const quietMs = { timeout: 120_000, interval: 500 };
const blobs = 'docker/registry/v2/blobs/sha256/';

export async function expectRight({ site, load, bucket, why }: Looked): Promise<{ there: number; kept: number }> {
  const there = await referred(site, load);
  const kept = new Set(there.flatMap(({ image }) => [image.digest, ...image.blobs.map(({ digest }) => digest)]));
  for (const place of there) await expectWhole(site, place, why);
  await vi.waitFor(async () => {
    const found = new Set(await inBucket(bucket));
    expect(
      [...kept].filter((digest) => !found.has(digest)),
      `${why}: referred to, and not in the bucket`,
    ).toEqual([]);
    expect(
      [...found].filter((digest) => !kept.has(digest) && load.linked.has(digest)),
      `${why}: in the bucket, and of no use`,
    ).toEqual([]);
  }, quietMs);
  await vi.waitFor(async () => {
    for (const origin of site.origins) {
      const useless = (await onOrigin(origin)).filter((digest) => !kept.has(digest));
      expect(useless, `${why}: on ${origin}, and of no use`).toEqual([]);
    }
  }, quietMs);
  for (const digest of kept)
    expect(digestIn(await fromBucket(bucket, digest)), `${why}: bytes in the bucket`).toBe(digest);
  // Nothing of it went while the rest did.
  for (const place of there) await expectWhole(site, place, why);
  return { there: there.length, kept: kept.size };
}

type Looked = { readonly site: Site; readonly load: Load; readonly bucket: S3Server; readonly why: string };

/** What was acknowledged; of what was not, what is there. */
async function referred(site: Site, { states }: Load): Promise<Place[]> {
  const there: Place[] = [];
  for (const { state, ...place } of states.values()) {
    if (state === 'there') there.push(place);
    if (state === 'unknown' && (await got(site, OCI_PATHS.manifest(place.repo, place.image.digest))) !== undefined)
      there.push(place);
    if (state === 'gone')
      expect(await got(site, OCI_PATHS.manifest(place.repo, place.image.digest)), 'deleted').toBeUndefined();
  }
  return there;
}

async function expectWhole(site: Site, { repo, image }: Place, why: string): Promise<void> {
  const all = [
    { path: OCI_PATHS.manifest(repo, image.digest), digest: image.digest },
    ...image.blobs.map(({ digest }) => ({ path: OCI_PATHS.blob(repo, digest), digest })),
  ];
  for (const { path, digest } of all) {
    const bytes = await got(site, path);
    expect(bytes && digestIn(bytes), `${why}: ${path}`).toBe(digest);
  }
}

/** Undefined: 404. What is not answered is asked again. */
async function got(site: Site, path: string): Promise<Uint8Array | undefined> {
  return await vi.waitFor(async () => {
    const answer = await fetch(site.proxy + path, { headers: { accept: '*/*' } });
    const bytes = new Uint8Array(await answer.arrayBuffer());
    if (answer.status === 404) return undefined;
    expect(answer.status).toBe(200);
    return bytes;
  }, quietMs);
}

async function inBucket(bucket: S3Server): Promise<Digest[]> {
  const client = bucket.client();
  const digests: Digest[] = [];
  for (let ContinuationToken: string | undefined; ; ) {
    const page = await client.send(new ListObjectsV2Command({ Bucket: 'images', Prefix: blobs, ContinuationToken }));
    for (const { Key = '' } of page.Contents ?? []) {
      const hex = /\/([0-9a-f]{64})\/data$/.exec(Key)?.[1];
      if (hex !== undefined) digests.push(`sha256:${hex}` as Digest);
    }
    ContinuationToken = page.NextContinuationToken;
    if (ContinuationToken === undefined) break;
  }
  client.destroy();
  return digests;
}

async function fromBucket(bucket: S3Server, digest: Digest): Promise<Uint8Array> {
  const hex = digest.slice('sha256:'.length);
  const client = bucket.client();
  const { Body } = await client.send(
    new GetObjectCommand({ Bucket: 'images', Key: `${blobs}${hex.slice(0, 2)}/${hex}/data` }),
  );
  const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array();
  client.destroy();
  return bytes;
}

async function onOrigin(origin: string): Promise<Digest[]> {
  const { blobs: all } = (await (await fetch(`${origin}/v1/blobs?n=1000`)).json()) as { blobs: { digest: Digest }[] };
  return all.map(({ digest }) => digest);
}
