/**
 * Where a blob is on a web server, as a template with placeholders; Kraken's, with `%s`, is one.
 *
 * Rule: what is put in cannot leave its place: digests are hex, and what is no repository's name (`..`) is no key.
 */

import { type Digest, digestAlgorithm, digestHex, parseDigest } from '../../../core/digest.ts';
import { repositoryValid } from '../../../core/oci/name.ts';
import type { BlobLayout } from '../layout.ts';

export type BlobAsked = { readonly digest: Digest; readonly repo: string | undefined };

const VALUES: Readonly<Record<string, (asked: BlobAsked) => string>> = {
  '%s': ({ digest }) => digestHex(digest),
  '{hex}': ({ digest }) => digestHex(digest),
  '{digest}': ({ digest }) => digest,
  '{algorithm}': ({ digest }) => digestAlgorithm(digest),
  '{repo}': ({ repo = '' }) => repo.split('/').map(encodeURIComponent).join('/'),
};
const placeholder = /%s|\{[^{}]*\}/g;
const known = Object.keys(VALUES).join(', ');

/** What is wrong with it; undefined: nothing. */
export function templateProblem(template: string): string | undefined {
  const found = template.match(placeholder) ?? [];
  const strange = found.find((one) => VALUES[one] === undefined);
  if (strange !== undefined) return `has ${strange}, which is none of ${known}`;
  if (!found.some((one) => one === '%s' || one === '{hex}' || one === '{digest}'))
    return 'names no blob: put %s (or {hex}, or {digest}) where the digest goes, as in https://host/blobs/%s';
  const url = URL.parse(expand(template, { digest: nobodysDigest, repo: 'repo' }));
  if (url === null || !/^https?:$/.test(url.protocol)) return 'is no address of http:// or https://';
  if (url.username !== '' || url.password !== '') return 'has credentials in it: put them under `auth`';
  if (url.hash !== '') return 'has a #, behind which no server is told anything';
  if (url.host !== URL.parse(template.replaceAll('%', '_'))?.host)
    return 'has a placeholder in the name of its host: that is not ours to choose';
  return undefined;
}

/** No blob has it. */
export const nobodysDigest = `sha256:${'0'.repeat(64)}` as Digest;

function expand(template: string, asked: BlobAsked): string {
  return template.replaceAll(placeholder, (one) => VALUES[one]?.(asked) ?? one);
}

export function urlOf(template: string, asked: BlobAsked): URL {
  return new URL(expand(template, asked));
}

export function needsRepo(template: string): boolean {
  return template.includes('{repo}');
}

/** A blob's key: its digest, and the repository before it where the template wants one. */
export function templateLayout(template: string): BlobLayout {
  const perRepository = needsRepo(template);
  return {
    perRepository,
    blobKey: (digest, repo) => (perRepository ? `${repo ?? ''}@${digest}` : digest),
    digestOf: (key) => askedOf(key)?.digest,
  };
}

/** What `blobKey` has made a key of. */
export function askedOf(key: string): BlobAsked | undefined {
  const at = key.lastIndexOf('@');
  const digest = parseDigest(key.slice(at + 1));
  const repo = at > 0 ? key.slice(0, at) : undefined;
  return digest && (repo === undefined || repositoryValid(repo)) ? { digest, repo } : undefined;
}
