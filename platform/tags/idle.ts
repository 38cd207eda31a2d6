/**
 * Links of blobs that nobody needs any more, and go by themselves: part of any TagStore.
 *
 * Rule 1: a repository's link to a blob is idle while no manifest of the repository refers to the blob: from its push or
 *   mount on, or from when the last such manifest went, until a manifest does. Whoever uses the digest meanwhile (a push
 *   that is spared the upload, a mount), or takes another link of it away, has all of its idle links begin anew.
 * Rule 2: an idle link goes as by a DELETE, in one step that looks again; its digest counts as unlinked since the link was
 *   idle, if that was the last one. So what a manifest refers to has a link for as long as the manifest is there, whichever
 *   of the two came first.
 * Rule 3: times are the engine's own clock's.
 */

import type { Digest } from '../../core/digest.ts';

/** What is idle since then, or longer; so many at most. */
export type IdleAt = {
  readonly beforeMs: number;
  readonly n: number;
  /** The links of that repository stay: they begin anew. Default: none do. */
  readonly keeps?: ((repo: string) => boolean) | undefined;
};
/** `more`: others may be as old. */
export type Expired = { readonly links: number; readonly bytes: number; readonly more: boolean };
/** How many idle links there are, and how many of them are due. */
export type IdleCounts = { readonly idle: number; readonly due: number; readonly dueBytes: number };

export interface IdleReads {
  /** Since when the repository's link is idle; undefined: it is not, or there is none. */
  idleSince(repo: string, digest: Digest): number | undefined;
  /** Of `digests` those that nothing but what is idle since then links to, and nothing newer did. */
  uselessSince(digests: readonly Digest[], beforeMs: number): readonly Digest[];
  idleCounts(beforeMs: number): IdleCounts;
}

export interface IdleWrites {
  /** Somebody relies on the digest in that repository. False: it has no such link. */
  use(repo: string, digest: Digest, nowMs: number): boolean;
  /** Takes idle links away, the oldest first. */
  expire(at: IdleAt): Expired;
}
