/**
 * Which writes go to which other cluster: rules from repositories, and tags, to remotes.
 *
 * Rule: of one repository and remote at most one rule speaks: two that could both are refused with the configuration
 *   (`rulesOverlap`), so that nobody has to know which one wins.
 */

import { repositoryMatches, repositoryPatternsMeet } from '../oci/pattern.ts';

/** Rules, and patterns of one: each is tried for each write. */
export const replicationRulesMax = 100;
/** Each has a lane of its own, connections, and metrics. */
export const remotesMax = 32;

export type ReplicationRule = {
  /** Patterns: core/oci/pattern.ts. */
  readonly repositories: readonly string[];
  /** Patterns of tags; undefined: all. */
  readonly tags?: readonly string[] | undefined;
  readonly to: readonly string[];
  /** Whether deletions of tags go there as well. */
  readonly deletes: boolean;
};

/** `*` stands for anything, nothing included. */
export function tagPatternValid(text: string): boolean {
  return /^[A-Za-z0-9_*][A-Za-z0-9_.*-]{0,127}$/.test(text);
}

export function tagMatches(patterns: readonly string[] | undefined, tag: string): boolean {
  return patterns === undefined || patterns.some((pattern) => tagExpression(pattern).test(tag));
}

/** What is said of a repository and a remote; undefined: nothing goes there. */
export function ruleFor(rules: readonly ReplicationRule[], repo: string, remote: string): ReplicationRule | undefined {
  return rules.find(({ repositories, to }) => to.includes(remote) && repositoryMatches(repositories, repo));
}

/** Remotes that a repository's writes go to. */
export function remotesOf(rules: readonly ReplicationRule[], repo: string): string[] {
  const named = rules.filter(({ repositories }) => repositoryMatches(repositories, repo)).flatMap(({ to }) => to);
  return [...new Set(named)];
}

/** A remote and a pattern of which two rules would speak; undefined: there is none. */
export function rulesOverlap(
  one: Pick<ReplicationRule, 'repositories' | 'to'>,
  other: Pick<ReplicationRule, 'repositories' | 'to'>,
): { readonly remote: string; readonly pattern: string; readonly with: string } | undefined {
  const remote = one.to.find((name) => other.to.includes(name));
  if (remote === undefined) return undefined;
  for (const pattern of one.repositories)
    for (const theirs of other.repositories)
      if (repositoryPatternsMeet(pattern, theirs)) return { remote, pattern, with: theirs };
  return undefined;
}

function tagExpression(pattern: string): RegExp {
  return new RegExp(`^${pattern.replaceAll('.', '\\.').replace(/\*+/g, '.*')}$`);
}
