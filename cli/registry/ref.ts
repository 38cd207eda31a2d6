/** What a user names on the command line: a digest, or `repository[:tag]`, or `repository@digest`. */

import { type Digest, parseDigest } from '../../core/digest.ts';
import { repositoryValid, tagValid } from '../../core/oci/name.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';

/** Where blobs without a repository of their own are kept by `shoal put`. */
export const blobRepository = 'library/blobs';

export type Target =
  | { readonly kind: 'blob'; readonly digest: Digest }
  | { readonly kind: 'manifest'; readonly repo: string; readonly reference: string };

/** A host in front (`localhost:15000/library/app:1`) is dropped: --agent and --proxy say where. Throws StartError. */
export function parseTarget(text: string): Target {
  const digest = parseDigest(text);
  if (digest !== undefined) return { kind: 'blob', digest };
  if (/^sha(256|512):/.test(text))
    throw new StartError(`'${text.slice(0, 160)}' is no digest: lower-case hex, 64 digits for sha256, 128 for sha512`);
  const slash = text.indexOf('/');
  const host = slash < 0 ? '' : text.slice(0, slash);
  const rest = /[.:]|^localhost$/.test(host) ? text.slice(slash + 1) : text;
  const at = rest.indexOf('@');
  const colon = rest.lastIndexOf(':');
  const [repo, reference] =
    at >= 0
      ? [rest.slice(0, at), rest.slice(at + 1)]
      : colon >= 0
        ? [rest.slice(0, colon), rest.slice(colon + 1)]
        : [rest, 'latest'];
  const known = at >= 0 ? parseDigest(reference) !== undefined : tagValid(reference);
  if (!repositoryValid(repo) || !known) {
    throw new StartError(
      `'${text.slice(0, 120)}' is neither a digest (sha256:…) nor a reference such as library/app:1`,
    );
  }
  return { kind: 'manifest', repo, reference };
}
