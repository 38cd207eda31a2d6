/** What readers and writers of `loadgen tags` ask of an index: the text of each request. */

import { INDEX, type ManifestPut } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';

export const repository = 'loadgen/tags';

export const manifestPut: ManifestPut = {
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  size: 500,
  tags: [],
  blobs: [],
  manifests: [],
};

export function digestNo(no: number): Digest {
  return `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
}

export function readOf(tag: string): string {
  return request('GET', INDEX.tag.path({ name: repository, tag }));
}

/** `write`: its name, as the product's callers draw one for each. */
export function writeOf(tag: string, digest: Digest, write: string): string {
  return request('PUT', INDEX.putTag.path({ name: repository, tag, write }), JSON.stringify({ digest }));
}

function request(method: string, path: string, body?: string): string {
  const about = body === undefined ? '' : `content-type: application/json\r\ncontent-length: ${body.length}\r\n`;
  return `${method} ${path} HTTP/1.1\r\nhost: index\r\n${about}\r\n${body ?? ''}`;
}
