/**
 * Keys as Kraken has them with `identity`: a blob at the hex of its digest, a tag at `repository:tag`, and nothing else.
 *
 * Records of ours lie under `_shoal/`, and have no colon: Kraken, which takes every key for a name, passes over whatever is
 * not two parts with a colon between when it lists tags, and no name of a repository begins with `_`. Of a repository those
 * of tags come before those of manifests, as in links.ts.
 */

import { digestHex, parseDigest } from '../../core/digest.ts';
import { repositoryValid, tagValid } from '../../core/oci/name.ts';
import type { BlobLayout } from './layout.ts';
import { type LinkLayout, type LinkObject, recordIn, recordPath } from './links.ts';

const own = '_shoal/';

export const identityBlobs: BlobLayout = {
  // No two algorithms have digests of one length.
  blobKey: digestHex,
  digestOf: (key) => parseDigest(`sha256:${key}`) ?? parseDigest(`sha512:${key}`),
};

export const identityLinks: LinkLayout = {
  linkKey: ({ repo, kind, name }) => (kind === 'tag' ? `${repo}:${name}` : undefined),
  recordKey: (of) => `${own}${of.repo}/${recordPath(of)}`,
  // The records first, as their keys do.
  under: (repo) => (repo === undefined ? [''] : [`${own}${repo}/_`, `${repo}:`]),
  recordsUnder: (repo) => `${own}${repo}/_shoal/`,
  linkOf: (key) => (key.startsWith(own) ? recordIn(key.slice(own.length)) : tagOf(key)),
};

function tagOf(key: string): LinkObject | undefined {
  const [repo = '', name = '', ...more] = key.split(':');
  if (more.length > 0 || !repositoryValid(repo) || !tagValid(name)) return undefined;
  return { repo, kind: 'tag', name, part: 'link' };
}
