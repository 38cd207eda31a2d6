/**
 * What a user names on the command line: a digest, or `repository[:tag]`, `repository@digest`, `repository:tag@digest`.
 *
 * Rule: a host in front (`localhost:15000/library/app:1`, as docker writes it) is dropped, wherever a repository is
 * named: --agent and --proxy say where.
 */

import { type Digest, parseDigest } from '../../../core/digest.ts';
import { repositoryValid, tagValid } from '../../../core/oci/name.ts';
import { StartError } from '../../lifecycle/errors.ts';

/** Where blobs without a repository of their own are kept by `shoal put`. */
export const blobRepository = 'library/blobs';
/** Of what a user typed, for a message. */
const shownMax = 160;

export type RefTarget =
  | { readonly kind: 'blob'; readonly digest: Digest }
  | {
      readonly kind: 'manifest';
      readonly repo: string;
      /** A tag or a digest. Where both were given the digest counts, as for docker: what it names never moves. */
      readonly reference: string;
      /** The tag beside a digest. */
      readonly tag?: string | undefined;
    };

/** Throws StartError. */
export function parseTarget(text: string): RefTarget {
  const digest = parseDigest(text);
  if (digest !== undefined) return { kind: 'blob', digest };
  if (/^sha(256|512):/.test(text))
    throw new StartError(`'${shown(text)}' is no digest: lower-case hex, 64 digits for sha256, 128 for sha512`);
  const [name = '', ...digests] = withoutHost(text).split('@');
  const colon = name.indexOf(':');
  const repo = colon < 0 ? name : name.slice(0, colon);
  const tag = colon < 0 ? undefined : name.slice(colon + 1);
  const [by, ...more] = digests;
  const known = by === undefined || (more.length === 0 && parseDigest(by) !== undefined);
  if (!repositoryValid(repo) || !known || (tag !== undefined && !tagValid(tag))) {
    throw new StartError(`'${shown(text)}' is neither a digest (sha256:…) nor a reference such as library/app:1`);
  }
  return { kind: 'manifest', repo, reference: by ?? tag ?? 'latest', tag: by === undefined ? undefined : tag };
}

/** The repository alone, for --repo and `shoal ls`. Throws StartError. */
export function parseRepository(text: string): string {
  const repo = withoutHost(text);
  if (repositoryValid(repo)) return repo;
  const name = repo.replace(/[:@].*$/, '');
  const hint = name !== repo && repositoryValid(name) ? `: here it goes without tag and digest, ${name}` : '';
  throw new StartError(`'${shown(text)}' is no repository name${hint || ': lower case, such as library/files'}`);
}

/** The first part is a host where docker would take it for one. */
function withoutHost(text: string): string {
  const slash = text.indexOf('/');
  const host = slash < 0 ? '' : text.slice(0, slash);
  return /[.:A-Z]|^localhost$/.test(host) ? text.slice(slash + 1) : text;
}

function shown(text: string): string {
  return text.slice(0, shownMax);
}
