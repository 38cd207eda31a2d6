/** `quotas` of an index's configuration: what repositories may hold. */

import * as z from 'zod';
import { repositoryPatternCovers, repositoryPatternValid } from '../../core/oci/pattern.ts';
import { type QuotaRule, USES } from '../../core/quota.ts';
import { size } from '../../platform/config/units.ts';

/** As many as anybody reads; each write looks along them. */
export const quotaRulesMax = 1_000;
const countMax = 1_000_000_000;

const pattern = z
  .string()
  .refine(repositoryPatternValid, 'is no pattern of a repository: a name, `*` within a part of it, `**` for any');
const count = z.int().min(0).max(countMax).optional();

export const quotasShape = () =>
  z
    .array(
      z
        .strictObject({
          repositories: z.union([pattern.transform((one) => [one]), z.array(pattern).min(1).max(quotaRulesMax)]),
          /** Of blobs and manifests. */
          bytes: size().optional(),
          tags: count,
          manifests: count,
          /** repository: each of them may have as much. The first such rule holds. pattern: all of them together. Each such rule holds. */
          each: z.enum(['repository', 'pattern']).prefault('repository'),
        })
        .refine((rule) => USES.some((of) => rule[of] !== undefined), {
          error: 'limits nothing: say `bytes`, `tags` or `manifests`',
        }),
    )
    .max(quotaRulesMax)
    .prefault([]);

type Problem = { readonly path: readonly (string | number)[]; readonly message: string };

/** What no start takes: a store that does not count, and rules that never hold as an earlier one always does. */
export function quotaProblems(rules: readonly QuotaRule[], store: string): Problem[] {
  if (store === 'bucket' && rules.length > 0)
    return [
      {
        path: ['quotas'],
        message:
          'a store that is a bucket does not count what its repositories hold, as there is no transaction to count in: take PostgreSQL, or SQLite',
      },
    ];
  return rules.flatMap(({ each, repositories }, i) => {
    if (each === 'pattern') return [];
    const before = rules.slice(0, i).filter((rule) => rule.each === 'repository');
    const covered = repositories.every((later) =>
      before.some((rule) => rule.repositories.some((earlier) => repositoryPatternCovers(earlier, later))),
    );
    if (!covered) return [];
    const message = `never holds: rules before it have all of ${repositories.join(', ')}, and the first one holds`;
    return [{ path: ['quotas', i, 'repositories'], message }];
  });
}
