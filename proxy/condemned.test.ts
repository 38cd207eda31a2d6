/** Pushes, mounts and manifests that meet what the index has condemned: proved, or pushed again; never linked and gone. */

import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Digest } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import { CallContext } from '../platform/clients/context.ts';
import { type Answer, digestOfBytes, TestCluster } from './testing/cluster.ts';
import type { FakeOrigin } from './testing/fake-origin.ts';

const repo = 'library/app';
const ctx = CallContext.begin({ requestId: 'test' });
const layer = Buffer.from('layer');
const config = Buffer.from('{}');
const longMs = 1_000_000;

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.start({ required: 2 });
});
afterEach(() => cluster.close());

const code = (answer: Answer): string => JSON.parse(answer.body.toString()).errors[0].code;
const pushAgain = (bytes: Buffer): Promise<Answer> =>
  cluster.proxy.send('POST', `/v2/${repo}/blobs/uploads/?digest=${digestOfBytes(bytes)}`, { body: bytes });
const head = async (digest: Digest): Promise<number> =>
  (await cluster.proxy.send('HEAD', `/v2/${repo}/blobs/${digest}`)).status;

/** Nothing links to it, and an origin has been told that it may go. */
async function condemn(digest: Digest): Promise<void> {
  await cluster.index.condemn([digest], ctx);
  cluster.index.nowMs += longMs;
  expect((await cluster.index.condemn([digest], ctx)).condemned).toEqual([digest]);
}

async function condemnedLayer(): Promise<Digest> {
  const digest = await cluster.push(repo, layer);
  await cluster.index.unlinkBlob(repo, digest, ctx);
  await condemn(digest);
  return digest;
}

const image = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    config: { mediaType: 'a/b', digest: digestOfBytes(config), size: config.length },
    layers: [],
  }),
);
const putImage = (): Promise<Answer> =>
  cluster.proxy.send('PUT', `/v2/${repo}/manifests/v1`, {
    body: image,
    headers: { 'content-type': MEDIA.ociManifest },
  });

async function condemnedImage(): Promise<Digest> {
  await cluster.push(repo, config);
  expect((await putImage()).status).toBe(201);
  const digest = digestOfBytes(image);
  await cluster.index.deleteManifest(repo, digest, ctx);
  await condemn(digest);
  return digest;
}

test('a push of it is proved by its origins, and then linked for good', async () => {
  const digest = await condemnedLayer();
  expect((await pushAgain(layer)).status).toBe(201);
  expect(await head(digest)).toBe(200);
  cluster.index.nowMs += longMs;
  expect((await cluster.index.condemn([digest], ctx)).condemned).toEqual([]);
});

test('an origin of the release before, which removes nothing, proves by what it holds', async () => {
  const digest = await condemnedLayer();
  (cluster.origins[1] as FakeOrigin).faults.knowsNoProof = true;
  expect((await pushAgain(layer)).status).toBe(201);
  expect(await head(digest)).toBe(200);
});

test('an origin that removed it between commit and link: the client pushes it again', async () => {
  const digest = await condemnedLayer();
  const link = cluster.index.linkBlob;
  cluster.index.linkBlob = (...args) => {
    cluster.index.linkBlob = link;
    cluster.origins[0]?.blobs.delete(digest);
    return link(...args);
  };
  const answer = await pushAgain(layer);
  expect([answer.status, code(answer)]).toEqual([404, 'BLOB_UPLOAD_UNKNOWN']);
  expect(await cluster.index.blob(repo, digest, ctx)).toBeUndefined();
  expect((await pushAgain(layer)).status).toBe(201);
  expect(cluster.holders(layer)).toBe(2);
});

test('another origin is told while it is proved: it is proved anew', async () => {
  const digest = await condemnedLayer();
  const link = cluster.index.linkBlob;
  const proofs: (number | undefined)[] = [];
  cluster.index.linkBlob = async (at, of, put, call) => {
    proofs.push(put.proof);
    if (proofs.length === 2) await cluster.index.condemn([of], ctx);
    return link(at, of, put, call);
  };
  expect((await pushAgain(layer)).status).toBe(201);
  expect(proofs).toEqual([undefined, expect.any(Number), expect.any(Number)]);
  expect(proofs[2]).toBeGreaterThan(proofs[1] as number);
  expect(await head(digest)).toBe(200);
});

test('an origin that may hold it is not heard: 503, and nothing is linked', async () => {
  const digest = await condemnedLayer();
  const link = cluster.index.linkBlob;
  cluster.index.linkBlob = async (...args) => {
    await cluster.origins[0]?.kill();
    return link(...args);
  };
  const answer = await pushAgain(layer);
  expect([answer.status, code(answer)]).toEqual([503, 'UNAVAILABLE']);
  expect(await cluster.index.blob(repo, digest, ctx)).toBeUndefined();
});

test('a mount of it is an upload; a manifest that refers to it names it as missing', async () => {
  const digest = await condemnedLayer();
  const mounted = await cluster.proxy.send('POST', `/v2/b/blobs/uploads/?mount=${digest}&from=${repo}`);
  expect(mounted.status).toBe(202);
  await cluster.push(repo, config);
  const body = Buffer.from(
    JSON.stringify({ ...JSON.parse(image.toString()), layers: [{ mediaType: 'c/d', digest, size: layer.length }] }),
  );
  const headers = { 'content-type': MEDIA.ociManifest };
  const put = await cluster.proxy.send('PUT', `/v2/${repo}/manifests/v1`, { body, headers });
  expect([put.status, code(put)]).toEqual([404, 'MANIFEST_BLOB_UNKNOWN']);
});

test('a manifest is proved like a blob, and stored again where an origin removed it on the way', async () => {
  const digest = await condemnedImage();
  const put = cluster.index.putManifest;
  let calls = 0;
  cluster.index.putManifest = (...args) => {
    calls += 1;
    if (calls === 1) cluster.origins[1]?.blobs.delete(digest);
    return put(...args);
  };
  expect((await putImage()).status).toBe(201);
  // Refused; refused again after it was stored anew; proved.
  expect(calls).toBe(3);
  expect(cluster.holders(image)).toBe(2);
  expect((await cluster.proxy.send('GET', `/v2/${repo}/manifests/v1`)).body.equals(image)).toBe(true);
});
