/** A cluster that takes tags of signed images only, and one that sends it an image before its signature. */

import { afterAll, expect, test, vi } from 'vitest';
import type { Digest } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import { payload, SignedImages, signer, tagOf } from '../platform/signatures/signing.fixtures.ts';
import { Cluster } from '../platform/testing/cluster.ts';
import { type MadeImage, made, madeImage, pushImage } from './images.fixtures.ts';
import { ReplicatedSite } from './replicated.fixtures.ts';

const soon = { timeout: 60_000, interval: 100 } as const;
const repo = 'team/app';
const ours = signer();
const stack = new AsyncDisposableStack();
afterAll(() => stack.disposeAsync());

/** As cosign makes it. */
async function signatureOf(digest: Digest): Promise<MadeImage> {
  const message = payload(digest, `localhost:5000/${repo}`);
  const layer = await new SignedImages().signature(repo, ours, message);
  const blobs = [made(Uint8Array.from(Buffer.from('{}')), MEDIA.ociConfig), made(Uint8Array.from(message))];
  const config = { mediaType: MEDIA.ociConfig, digest: blobs[0]?.digest, size: 2 };
  const document = { schemaVersion: 2, mediaType: MEDIA.ociManifest, config, layers: [layer] };
  return { ...made(Uint8Array.from(Buffer.from(JSON.stringify(document))), MEDIA.ociManifest), blobs };
}

test('the tag is refused there until the signature has come as well, and is there then', {
  timeout: 240_000,
}, async () => {
  const cluster = stack.use(await Cluster.make());
  const [here, there] = [await ReplicatedSite.place(cluster, 'here'), await ReplicatedSite.place(cluster, 'there')];
  here.replicate = { remotes: { west: there.remote }, rules: [{ repositories: 'team/**', to: ['west'] }] };
  there.proxy = { verify: { cosign: [{ repositories: 'team/**', keys: [ours.pem] }] } };
  await Promise.all([here.start(), there.start()]);
  const proxy = { url: () => here.proxyUrl };
  const image = madeImage([200_000, 100]);
  await pushImage(proxy, repo, image, ['1']);
  const at = async (tag: string): Promise<number> =>
    (await fetch(there.proxyUrl + OCI_PATHS.manifest(repo, tag))).status;
  await vi.waitFor(async () => expect(await here.log('index')).toMatch(/not replicated yet/), soon);
  expect(await at('1')).toBe(404);
  await pushImage(proxy, repo, await signatureOf(image.digest), [tagOf(image.digest)]);
  await vi.waitFor(async () => expect([await at(tagOf(image.digest)), await at('1')]).toEqual([200, 200]), soon);
});
