/**
 * Digests whose last link went: what may be deleted from backends, which only an engine with transactions can tell.
 *
 * Rule 1: a digest is doomed in the transaction in which its last link goes, where a backend has what nobody needs deleted
 *   (`deletesFrom`): never one that this index has not linked. A link saves it in its own transaction. What was restored
 *   from a backup, or moved, has none.
 * Rule 2: who deletes has claimed it, which is a condemnation that nobody can prove: until the claim is settled, or over,
 *   nothing links the digest. Settled it is another generation, so that whoever links proves it anew, and whoever
 *   proves it writes it back anew. Nothing is adopted from a backend that may be deleting it.
 * Rule 3: a claim that was never settled is one of who hangs, or died. Once it is over links are taken with a new proof; the
 *   digest is then told as `again` for `lateMs`, so that origins look whether the backend still has it. Unlinked it
 *   is claimed by others.
 * Rule 4: a digest goes twice, a grace apart, since what an origin owed at the first time was written after it; and once more
 *   whenever an origin that still holds it is told to remove it, which it does once it owes it no more. So it is remembered
 *   for `condemnedMs`; what was read before it went is not adopted in that time.
 */

import type { Digest } from '../../core/digest.ts';
import type { CountingTagStore } from './quotas/used.ts';

/** What has had no link since then, so many at most; claimed until then. */
export type DoomedAt = {
  readonly nowMs: number;
  readonly beforeMs: number;
  readonly untilMs: number;
  readonly n: number;
};
export type Doomed = { readonly digest: Digest; readonly generation: number };
export type DoomedClaims = {
  readonly claims: readonly Doomed[];
  /** Linked though a deletion of it was never settled: backends may lack it. */
  readonly again: readonly Digest[];
  /** Others may be due. */
  readonly more: boolean;
};
/** Those that have no link; of them those that are due, and those that somebody deletes now. */
export type DoomedCounts = { readonly doomed: number; readonly due: number; readonly claimed: number };

export interface DoomedTables {
  /** From now on what loses its last link is doomed, if there are any of these. */
  deletesFrom(backends: readonly string[]): void;
  /** Others filled that backend. */
  broughtFrom(backend: string): void;
  /** The backends that others filled. */
  broughtBackends(): readonly string[];
  claimDoomed(at: DoomedAt): DoomedClaims;
  /** These went, or may have (`gone` false): which of them are linked all the same, so that backends may lack them. */
  settleDoomed(claims: readonly Doomed[], gone: boolean, nowMs: number): readonly Digest[];
  /** What is linked was looked for in its backends after `nowMs`. */
  savedDoomed(digests: readonly Digest[], nowMs: number): void;
  doomedCounts(beforeMs: number): DoomedCounts;
}

export type DoomedStore = {
  [M in keyof DoomedTables]: (...args: Parameters<DoomedTables[M]>) => Promise<ReturnType<DoomedTables[M]>>;
};

/** A store that knows what was linked and is not any more. */
export type DoomingTagStore = CountingTagStore & { readonly doomed: DoomedStore };

/** A request that was on its way when its sender hung is not taken any more: signatures of requests are good for 15 minutes. */
export const lateMs = 20 * 60_000;
/** Deletions of one digest, a grace apart. */
export const doomedPasses = 2;
