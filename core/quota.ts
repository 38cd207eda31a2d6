/**
 * Quotas of repositories: which rule holds for whom, and whether a write goes beyond it.
 *
 * Rule 1: of the rules for each repository the first that matches holds; of those for all that a pattern matches together
 *   every one that matches: a team's, and that of everybody.
 * Rule 2: what adds nothing is never refused, also where more is used than a rule allows: it may have come later.
 */

import { repositoryMatches } from './oci/pattern.ts';

/** bytes: of blobs and manifests, each digest once a repository. */
export type Use = { readonly bytes: number; readonly tags: number; readonly manifests: number };
export type RepositoryUse = Use & { readonly repo: string };
export type UseOf = keyof Use;
export const USES = ['bytes', 'tags', 'manifests'] as const satisfies readonly UseOf[];

export type QuotaRule = {
  readonly repositories: readonly string[];
  /** Whether the limits are of each repository, or of all that match together. */
  readonly each: 'repository' | 'pattern';
} & { readonly [K in UseOf]?: number | undefined };

/** What of a rule a write would go beyond. */
export type Beyond = { readonly of: UseOf; readonly used: number; readonly limit: number; readonly adds: number };

export const noUse: Use = { bytes: 0, tags: 0, manifests: 0 };

/** The rules that hold for a repository. */
export function quotasFor(rules: readonly QuotaRule[], repo: string): readonly QuotaRule[] {
  const matching = rules.filter((rule) => repositoryMatches(rule.repositories, repo));
  const first = matching.find(({ each }) => each === 'repository');
  return matching.filter((rule) => rule === first || rule.each === 'pattern');
}

export function beyond(rule: QuotaRule, used: Use, adds: Use): Beyond | undefined {
  for (const of of USES) {
    const limit = rule[of];
    if (limit !== undefined && adds[of] > 0 && used[of] + adds[of] > limit)
      return { of, used: used[of], limit, adds: adds[of] };
  }
  return undefined;
}

export function plusUse(one: Use, other: Use): Use {
  return { bytes: one.bytes + other.bytes, tags: one.tags + other.tags, manifests: one.manifests + other.manifests };
}

/** What a rule is called, in messages and metrics. */
export function quotaName({ repositories }: Pick<QuotaRule, 'repositories'>): string {
  return repositories.join(', ');
}
