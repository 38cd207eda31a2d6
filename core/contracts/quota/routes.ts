/** What an operator asks of an index: which quotas it has, and what each repository holds. */

import type { Digest } from '../../digest.ts';
import { pageEntriesMax } from '../../oci/limits.ts';
import { repositoryPatternValid } from '../../oci/pattern.ts';
import type { QuotaRule, RepositoryUse } from '../../quota.ts';
import { byteCount, digest, inRepository, repository } from '../fields.ts';
import { digits, flag, listOf, oneOf, optional, type Parser, record, text, textThat } from '../parse.ts';
import { route } from '../route.ts';

const rulesMax = 1_000;
const pattern = textThat(repositoryPatternValid, 'is no pattern of a repository');
const rule: Parser<QuotaRule> = record({
  repositories: listOf(pattern, rulesMax),
  each: oneOf('repository', 'pattern'),
  bytes: optional(byteCount),
  tags: optional(byteCount),
  manifests: optional(byteCount),
});
const use: Parser<RepositoryUse> = record({
  repo: repository,
  bytes: byteCount,
  tags: byteCount,
  manifests: byteCount,
});
/** A blob that somebody is about to push. Without `digest` it counts as none that is there. */
export type RoomAsked = { readonly repo: string; readonly size: number; readonly digest?: Digest | undefined };

const n: Parser<number> = (value) =>
  Math.min(value === undefined ? pageEntriesMax : digits(999_999_999)(value), pageEntriesMax);

/** An index of the release before knows neither. */
export const QUOTAS = {
  rules: route('GET', '/v1/quotas', { reply: record({ quotas: listOf(rule, rulesMax) }) }),
  /** By name, those that `last` comes before. 405 where the engine does not count. */
  used: route('GET', '/v1/used', {
    query: { n, last: optional(text(1_024)) },
    reply: record({ repositories: listOf(use, pageEntriesMax), more: flag }),
  }),
  /**
   * Asked by a proxy before it takes a blob of so many bytes, or more: 403 DENIED where a quota has no room for it.
   * `digest`: where it is known; a blob that is there adds nothing.
   */
  room: route('GET', '/v1/room/:repo', {
    params: { repo: inRepository },
    query: { size: digits(Number.MAX_SAFE_INTEGER), digest: optional(digest) },
  }),
} as const;
