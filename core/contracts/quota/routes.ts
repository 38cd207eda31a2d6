/** What an operator asks of an index: which quotas it has, and what each repository holds. */

import { pageEntriesMax } from '../../oci/limits.ts';
import { repositoryPatternValid } from '../../oci/pattern.ts';
import type { QuotaRule, RepositoryUse } from '../../quota.ts';
import { byteCount, repository } from '../fields.ts';
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
} as const;
