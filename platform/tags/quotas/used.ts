/**
 * What each repository holds, as an engine counts it.
 *
 * Rule: the counts change with what is counted, in its own transaction, whoever writes it: they are never made up for later.
 */

import type { RoomAsked } from '../../../core/contracts/quota/routes.ts';
import type { RepositoryUse, Use } from '../../../core/quota.ts';
import type { PageOf, TagStore } from '../store.ts';

export type UsedPage = { readonly repositories: readonly RepositoryUse[]; readonly more: boolean };

/** As of now, in the middle of a transaction, of an engine that answers at once. */
export interface UsedNow {
  of(repo: string): Use;
  /** Of all repositories that match any of the patterns. */
  sum(patterns: readonly string[]): Use;
  /** By name; those too that hold nothing any more. */
  page(page: PageOf): UsedPage;
}

/** A store that counts what its repositories hold. */
export type CountingTagStore = TagStore & {
  used(page: PageOf): Promise<UsedPage>;
  /** Throws QuotaExceeded where linking it would, now. Changes nothing, and promises nothing. */
  room(of: RoomAsked): Promise<void>;
};
