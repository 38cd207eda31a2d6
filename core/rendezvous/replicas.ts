/** How many origins are to hold a blob: by the repositories that have it, the most that any of them asks for. */

import { repositoryMatches } from '../oci/pattern.ts';

export const replicasMax = 16;
/** Rules, and patterns of one: each is tried for each repository of a blob. */
export const replicaRulesMax = 100;

/** The first rule that matches a repository wins. Patterns: core/oci/pattern.ts. */
export type ReplicaRules = {
  readonly default: number;
  readonly rules: readonly { readonly repositories: readonly string[]; readonly replicas: number }[];
};

export function replicasIn({ default: other, rules }: ReplicaRules, repo: string): number {
  return rules.find(({ repositories }) => repositoryMatches(repositories, repo))?.replicas ?? other;
}

/** Of a blob that all of `repos` have; undefined: of one that none has. */
export function replicasAmong(rules: ReplicaRules, repos: readonly string[]): number | undefined {
  if (repos.length === 0) return undefined;
  return Math.max(...repos.map((repo) => replicasIn(rules, repo)));
}

/** What no rule asks for more than. */
export function mostReplicas({ default: other, rules }: ReplicaRules): number {
  return Math.max(other, ...rules.map(({ replicas }) => replicas));
}
