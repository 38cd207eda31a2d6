/**
 * Fills a bucket as Kraken's origins and build-index do with `name_path` (lib/backend/namepath): blobs and tags, and nothing
 * else. Written after Kraken's own description, and by none of Shoal's code.
 */

import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';

type Roots = { readonly blobs: string; readonly tags: string };

export type Schemes = {
  readonly blob: (hex: string) => string;
  readonly tag: (repo: string, tag: string) => string;
};

export const flat: Schemes = { blob: (hex) => hex, tag: (repo, tag) => `${repo}:${tag}` };

export const asDocker: Schemes = {
  blob: (hex) => `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`,
  tag: (repo, tag) => `docker/registry/v2/repositories/${repo}/_manifests/tags/${tag}/current/link`,
};

/** An image in skopeo's `dir:` form, put there under a name; the digest of its manifest. */
export async function putAsKraken(
  client: S3Client,
  folder: string,
  at: { bucket: string; roots: Roots; schemes: Schemes; repo: string; tag: string },
): Promise<string> {
  const { bucket, roots, schemes, repo, tag } = at;
  const put = (key: string, body: Buffer) =>
    client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }));
  let digest = '';
  for (const file of await readdir(folder)) {
    if (file === 'version') continue;
    const bytes = await readFile(join(folder, file));
    const hex = createHash('sha256').update(bytes).digest('hex');
    await put(`${roots.blobs}/${schemes.blob(hex)}`, bytes);
    if (file === 'manifest.json') digest = `sha256:${hex}`;
  }
  await put(`${roots.tags}/${schemes.tag(repo, tag)}`, Buffer.from(digest));
  return digest;
}
