/**
 * Patterns of repository names, as a configuration lists them: `*` stands for anything within one part of the name,
 * `**` for anything at all. `mirror/*` is `mirror/alpine`, but not `mirror/library/alpine`; `**` is every repository.
 */

import { repositoryLengthMax } from './limits.ts';
import { repositoryValid } from './name.ts';

export function repositoryPatternValid(text: string): boolean {
  // With a letter for each run of stars it must be a name.
  return text.length <= repositoryLengthMax && repositoryValid(text.replace(/\*+/g, 'x')) && !text.includes('***');
}

/** Whether any of `patterns`, which are valid, is one of `repo`. */
export function repositoryMatches(patterns: readonly string[], repo: string): boolean {
  return patterns.some((pattern) => expressionOf(pattern).test(repo));
}

/** Whether every repository that `later` is a pattern of is one of `earlier`; both are valid. */
export function repositoryPatternCovers(earlier: string, later: string): boolean {
  // No name has a `+` or a `*`: they stand for whatever a run of stars may stand for.
  return expressionOf(earlier).test(later.replaceAll('**', '+'));
}

function expressionOf(pattern: string): RegExp {
  const parts = pattern.split(/(\*\*?)/).map((part) => {
    if (part === '**') return '.*';
    return part === '*' ? '[^/+]*' : part.replaceAll('.', '\\.');
  });
  return new RegExp(`^${parts.join('')}$`);
}
