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

/** Whether some name is one of both; both are valid. Of a name's grammar nothing is known here: it may say yes of none that is one. */
export function repositoryPatternsMeet(one: string, other: string): boolean {
  return meet(tokensOf(one), tokensOf(other));
}

/** A letter, or a run of stars: `*` takes no slash. */
function tokensOf(pattern: string): readonly string[] {
  return pattern.match(/\*\*?|[^*]/g) ?? [];
}

/** Walks both at once: `reached` is where one may stand once the other stands at each of its tokens. */
function meet(one: readonly string[], other: readonly string[]): boolean {
  const width = other.length + 1;
  const reached = new Uint8Array((one.length + 1) * width);
  reached[0] = 1;
  for (let i = 0; i <= one.length; i++)
    for (let j = 0; j < width; j++) {
      if (reached[i * width + j] === 0) continue;
      const [a, b] = [one[i], other[j]];
      // A star may stand for nothing more.
      if (a?.startsWith('*')) reached[(i + 1) * width + j] = 1;
      if (b?.startsWith('*')) reached[i * width + j + 1] = 1;
      if (a === undefined || b === undefined) continue;
      // Or for what the other one has there.
      if (a.startsWith('*') && takes(a, b)) reached[i * width + j + 1] = 1;
      if (b.startsWith('*') && takes(b, a)) reached[(i + 1) * width + j] = 1;
      if (a === b) reached[(i + 1) * width + j + 1] = 1;
    }
  return reached[reached.length - 1] === 1;
}

function takes(star: string, token: string): boolean {
  return star === '**' || token !== '/';
}

function expressionOf(pattern: string): RegExp {
  return new RegExp(repositoryExpression(pattern));
}

/** As a regular expression's source, which PostgreSQL takes as well. */
export function repositoryExpression(pattern: string): string {
  const parts = pattern.split(/(\*\*?)/).map((part) => {
    if (part === '**') return '.*';
    return part === '*' ? '[^/+]*' : part.replaceAll('.', '\\.');
  });
  return `^${parts.join('')}$`;
}
