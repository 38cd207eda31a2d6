/** For tests: images of several layers and platforms, pushed to a cluster and pulled from it by plain HTTP, as docker does. */

import { createHash, randomBytes } from 'node:crypto';
import { PROBES } from '../core/contracts/probes.ts';
import { type Digest, digestOf } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import { OCI_PATHS } from '../core/oci/paths.ts';
import type { Process } from '../platform/testing/cluster.ts';

/** A process, by the base URLs of its ports: `registry`, `api`. */
export type Reached = Pick<Process, 'url'>;

export type Bytes = Uint8Array<ArrayBuffer>;
export type Made = { readonly bytes: Bytes; readonly digest: Digest; readonly mediaType: string };
export type MadeImage = Made & { readonly blobs: readonly Made[] };

export function made(bytes: Bytes, mediaType: string = MEDIA.ociLayer): Made {
  return { bytes, mediaType, digest: digestOf('sha256', createHash('sha256').update(bytes).digest('hex')) };
}

function document(value: object, mediaType: string): Made {
  return made(Uint8Array.from(Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...value }))), mediaType);
}

const descriptor = ({ digest, bytes, mediaType }: Made) => ({ mediaType, digest, size: bytes.length });

/** With layers of these sizes. */
export function madeImage(sizes: readonly number[], more: object = {}): MadeImage {
  const layers = sizes.map((size) => made(Uint8Array.from(randomBytes(size))));
  const config = made(Uint8Array.from(randomBytes(300)), 'application/vnd.oci.image.config.v1+json');
  const manifest = { config: descriptor(config), layers: layers.map(descriptor), ...more };
  return { ...document(manifest, MEDIA.ociManifest), blobs: [config, ...layers] };
}

export function madeIndex(images: readonly Made[]): Made {
  return document({ manifests: images.map(descriptor) }, MEDIA.ociIndex);
}

/** What refers to `subject`. */
export function madeReferrer(subject: Made): MadeImage {
  return madeImage([100], { subject: descriptor(subject), artifactType: 'application/x.sbom' });
}

async function ask(method: string, url: string, status: number, body?: Made): Promise<Response> {
  const headers = body === undefined ? {} : { 'content-type': body.mediaType };
  const answer = await fetch(url, { method, headers, body: body?.bytes ?? null });
  if (answer.status !== status) throw new Error(`${method} ${url}: ${answer.status} ${await answer.text()}`);
  return answer;
}

export async function pushBlob(proxy: Reached, repo: string, blob: Made): Promise<void> {
  const base = proxy.url('registry');
  const begun = await ask('POST', base + OCI_PATHS.uploads(repo), 202);
  const location = new URL(begun.headers.get('location') as string, base).href;
  await ask('PUT', OCI_PATHS.commit(location, blob.digest), 201, { ...blob, mediaType: MEDIA.octets });
}

/** Its blobs, then the manifest, under each of these names, or by digest. */
export async function pushImage(
  proxy: Reached,
  repo: string,
  image: Made & { readonly blobs?: readonly Made[] },
  names: readonly string[] = [image.digest],
): Promise<void> {
  for (const blob of image.blobs ?? []) await pushBlob(proxy, repo, blob);
  for (const name of names) await ask('PUT', proxy.url('registry') + OCI_PATHS.manifest(repo, name), 201, image);
}

export async function removeTag(proxy: Reached, repo: string, tag: string): Promise<void> {
  await ask('DELETE', proxy.url('registry') + OCI_PATHS.manifest(repo, tag), 202);
}

/** The bytes; throws where it is not there. */
export async function pulled(from: Reached, path: string): Promise<Buffer> {
  return Buffer.from(await (await ask('GET', from.url('registry') + path, 200)).arrayBuffer());
}

export async function statusOf(from: Reached, path: string, method = 'GET'): Promise<number> {
  const answer = await fetch(from.url('registry') + path, { method });
  await answer.arrayBuffer();
  return answer.status;
}

/** Of a metric, over all of its labels. */
export async function metricOf(of: Reached, name: string): Promise<number> {
  const text = await (await fetch(of.url('api') + PROBES.metrics.pattern)).text();
  const lines = text
    .split('\n')
    .filter((line) => line.startsWith(`shoal_${name}{`) || line.startsWith(`shoal_${name} `));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}
