/**
 * The keys of a registry's objects: each names its repository, since a registry has blobs, manifests and tags by repository
 * only. They are no paths: the backend asks the registry for what a key means.
 *
 * Rule: a blob's key is of its bytes, whether it is a manifest or not. Links are of the manifests and tags that a repository
 *       names: their object is the digest as text, as a bucket has it. A blob has none: it is there, or it is not.
 */

import { type Digest, parseDigest } from '../../../core/digest.ts';
import { repositoryValid, tagValid } from '../../../core/oci/name.ts';
import type { KeyLayout } from '../layout.ts';
import { type LinkObject, recordPath } from '../links.ts';

export type RegistryPlace =
  | { readonly kind: 'bytes' | 'manifest'; readonly repo: string; readonly digest: Digest }
  | { readonly kind: 'tag'; readonly repo: string; readonly tag: string };

/** The part of a key after its repository. */
const FOLDERS = { bytes: '_bytes', manifest: '_manifests', tag: '_tags' } as const;

/** undefined: no key of this layout. */
export function placeAt(key: string): RegistryPlace | undefined {
  const end = key.indexOf('/_');
  const repo = key.slice(0, end);
  const [folder, name = '', ...more] = key.slice(end + 1).split('/');
  if (end < 0 || more.length > 0 || !repositoryValid(repo)) return undefined;
  if (folder === FOLDERS.tag) return tagValid(name) ? { kind: 'tag', repo, tag: name } : undefined;
  const kind = (['bytes', 'manifest'] as const).find((one) => FOLDERS[one] === folder);
  const digest = parseDigest(name);
  return kind === undefined || digest === undefined ? undefined : { kind, repo, digest };
}

export function tagKey(repo: string, tag: string): string {
  return `${repo}/${FOLDERS.tag}/${tag}`;
}

export function manifestKey(repo: string, digest: string): string {
  return `${repo}/${FOLDERS.manifest}/${digest}`;
}

export const registryKeys: KeyLayout = {
  perRepository: true,
  blobKey: (digest, repo = '') => `${repo}/${FOLDERS.bytes}/${digest}`,
  digestOf(key) {
    const place = placeAt(key);
    return place?.kind === 'bytes' ? place.digest : undefined;
  },
  links: {
    linkKey({ repo, kind, name }) {
      if (kind === 'blob') return undefined;
      return kind === 'tag' ? tagKey(repo, name) : manifestKey(repo, name);
    },
    recordKey: (of) => `${of.repo}/${recordPath(of)}`,
    under: (repo) => [repo === undefined ? '' : `${repo}/_`],
    linkOf(key): LinkObject | undefined {
      const place = placeAt(key);
      if (place === undefined || place.kind === 'bytes') return undefined;
      const { kind, repo } = place;
      return { repo, kind, name: kind === 'tag' ? place.tag : place.digest, part: 'link' };
    },
  },
};
