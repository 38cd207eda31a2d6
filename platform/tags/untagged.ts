/**
 * Manifests without a tag, and since when: what retention rules go by (index/gc/retention.ts). Only engines that can change
 * a record with all that depends on it in one transaction have it.
 *
 * Rule 1: since when is what a look has found and noted, so that no other write pays for it: a manifest counts from the first
 *   look at which it had no tag. A tag that is set on it, or a push of it, has it forgotten in its own transaction; somebody
 *   who asks for it begins it anew. So it may be noted too late, never too early.
 * Rule 2: it may go while it has no tag, no index of the repository has it, the repository does not hold its subject, and
 *   no manifest with a tag has it as its subject.
 * Rule 3: what a manifest that goes had kept (its children, and what refers to it) counts as untagged since it did itself, or
 *   since it goes, where it was not.
 * Rule 4: it goes as by a DELETE, in one step that looks again.
 */

import type { Digest } from '../../core/digest.ts';
import type { DoomingTagStore } from './doomed.ts';

/** Manifests of a repository by digest, so many after `last`. */
export type UntaggedOf = {
  readonly repo: string;
  readonly last?: Digest | undefined;
  readonly n: number;
  /** What is noted since then, or longer, is due. */
  readonly beforeMs: number;
};
export type UntaggedPage = {
  /** The last one of the page; undefined: there are no more. */
  readonly last: Digest | undefined;
  /** Without a tag, and not noted yet. */
  readonly fresh: readonly Digest[];
  /** Noted, and with a tag: by an index of a release before. */
  readonly tagged: readonly Digest[];
  /** They may go: now, and once they are old enough. */
  readonly due: readonly Digest[];
  readonly waiting: number;
};
type Noted = Pick<UntaggedPage, 'fresh' | 'tagged'>;

export interface UntaggedTables {
  lookUntagged(of: UntaggedOf): UntaggedPage;
  noteUntagged(repo: string, noted: Noted, nowMs: number): void;
  /** Somebody asks for it. False: the repository does not hold it. */
  askedFor(repo: string, digest: Digest, nowMs: number): boolean;
  /** Deletes those that may go and are due; which of them did. */
  retire(repo: string, digests: readonly Digest[], at: { readonly beforeMs: number; readonly nowMs: number }): Digest[];
  /** Nobody notes who asks any more: so many are forgotten. True: there may be others. */
  forgetUntagged(n: number): boolean;
}

export type UntaggedStore = {
  [M in keyof UntaggedTables]: (...args: Parameters<UntaggedTables[M]>) => Promise<ReturnType<UntaggedTables[M]>>;
};

export type RetiringTagStore = DoomingTagStore & { readonly untagged: UntaggedStore };

/** Of a manifest `m`, in engines that speak SQL. */
export const hasTagSql = 'EXISTS (SELECT 1 FROM tags t WHERE t.repo = m.repo AND t.digest = m.digest)';
/** Rule 2, but for its tags. */
export const isFreeSql = `(NOT EXISTS (SELECT 1 FROM refs f WHERE f.target = m.digest AND f.repo = m.repo AND f.kind = 'manifest')
  AND NOT EXISTS (SELECT 1 FROM manifests s WHERE s.repo = m.repo AND s.digest = m.subject)
  AND NOT EXISTS (SELECT 1 FROM manifests s JOIN tags t ON t.repo = s.repo AND t.digest = s.digest
    WHERE s.subject = m.digest AND s.repo = m.repo))`;

/** A row of a look, of such engines. */
export type UntaggedRow = {
  readonly digest: Digest;
  readonly since: number | null;
  readonly tagged: boolean | number;
  readonly free: boolean | number;
};

export function untaggedPage(rows: readonly UntaggedRow[], { n, beforeMs }: UntaggedOf): UntaggedPage {
  const digestsOf = (all: readonly UntaggedRow[]): Digest[] => all.map(({ digest }) => digest);
  const bare = rows.filter(({ tagged }) => !tagged);
  const free = bare.filter((row) => row.free);
  const due = free.filter(({ since }) => since !== null && since <= beforeMs);
  return {
    last: rows.length < n ? undefined : rows.at(-1)?.digest,
    fresh: digestsOf(bare.filter(({ since }) => since === null)),
    tagged: digestsOf(rows.filter(({ tagged, since }) => tagged && since !== null)),
    due: digestsOf(due),
    waiting: free.length - due.length,
  };
}
