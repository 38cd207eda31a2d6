/** What a tag may be set to where a policy asks for signatures: over HTTP, with origins and an index of tests. */

import { afterEach, beforeEach, expect, test } from 'vitest';
import { MEDIA } from '../core/oci/media.ts';
import { payload, SignedImages, sha256, signer, tagOf } from '../platform/signatures/signing.fixtures.ts';
import { type Answer, TestCluster } from './testing/cluster.ts';

const ours = signer();
let cluster: TestCluster;
beforeEach(async () => {
  const policy = {
    name: 'verify.cosign[0] (team/*)',
    repositories: ['team/*'],
    mode: 'enforce',
    identity: 'repository',
    keys: [ours.pem],
  } as const;
  cluster = await TestCluster.start({ policies: [policy] });
});
afterEach(() => cluster.close());

const repo = 'team/app';
const put = (name: string, bytes: Uint8Array, at = repo): Promise<Answer> =>
  cluster.proxy.send('PUT', `/v2/${at}/manifests/${name}`, {
    body: bytes,
    headers: { 'content-type': MEDIA.ociManifest },
  });
const get = (name: string): Promise<Answer> => cluster.proxy.send('GET', `/v2/${repo}/manifests/${name}`);

async function manifestOf(
  layer: Buffer,
  mediaType: string = MEDIA.ociLayer,
  annotations = {},
  at = repo,
): Promise<Buffer> {
  const config = { mediaType: MEDIA.ociConfig, digest: await cluster.push(at, Buffer.from('{}')), size: 2 };
  const layers = [{ mediaType, digest: await cluster.push(at, layer), size: layer.length, annotations }];
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.ociManifest, config, layers }));
}

/** As cosign does it: the signature is pushed as an image. */
async function signed(image: Buffer): Promise<Answer> {
  const made = new SignedImages();
  const message = payload(sha256(image), `localhost:5000/${repo}`);
  const { mediaType, annotations = {} } = await made.signature(repo, ours, message);
  return await put(tagOf(sha256(image)), await manifestOf(message, mediaType, annotations));
}

test('a tag is set once the manifest is signed; it is pushed by its digest, or stands elsewhere, until then', async () => {
  const image = await manifestOf(Buffer.from('layer'));
  const digest = sha256(image);
  const early = await put('1', image);
  expect([early.status, JSON.parse(early.body.toString()).errors[0]]).toEqual([
    403,
    expect.objectContaining({
      code: 'DENIED',
      message: expect.stringMatching(/verify\.cosign\[0\].*Push it by digest/),
    }),
  ]);
  // Nothing of it was kept.
  expect([(await get(digest)).status, (await get('1')).status]).toEqual([404, 404]);
  expect((await put(`${digest}?tag=1`, image)).status).toBe(403);
  expect((await put(digest, image)).status).toBe(201);
  expect((await signed(image)).status).toBe(201);
  await expect.poll(async () => (await put('1', image)).status, { timeout: 60_000 }).toBe(201);
  expect((await put(`${digest}?tag=2&tag=3`, image)).status).toBe(201);
  expect((await get('1')).body.equals(image)).toBe(true);
  // Another one in its place is refused, and the tag stays.
  expect((await put('1', await manifestOf(Buffer.from('evil')))).status).toBe(403);
  expect((await get('1')).headers['docker-content-digest']).toBe(digest);
});

test('a signature may come first; repositories without a policy need none', async () => {
  const image = await manifestOf(Buffer.from('layer'));
  expect((await signed(image)).status).toBe(201);
  expect((await put('1', image)).status).toBe(201);
  const other = await manifestOf(Buffer.from('layer'), MEDIA.ociLayer, {}, 'other');
  expect((await put('1', other, 'other')).status).toBe(201);
});

test('an image in the place of a signature is refused; without an index it is 503', async () => {
  const image = await manifestOf(Buffer.from('layer'));
  expect((await put(tagOf(sha256(image)), image)).status).toBe(403);
  const other = await manifestOf(Buffer.from('another'));
  cluster.index.down = true;
  expect((await put('1', other)).status).toBe(503);
});
