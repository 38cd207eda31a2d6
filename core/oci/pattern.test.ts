import { describe, expect, test } from 'vitest';
import { repositoryMatches, repositoryPatternValid } from './pattern.ts';

describe('patterns of repositories', () => {
  test.each([
    ['library/app', 'library/app', true],
    ['library/app', 'library/app2', false],
    ['library/app', 'x/library/app', false],
    ['mirror/*', 'mirror/alpine', true],
    ['mirror/*', 'mirror/library/alpine', false],
    ['mirror/*', 'mirror', false],
    ['mirror/**', 'mirror/library/alpine', true],
    ['**', 'a/b/c', true],
    ['**/cache', 'a/b/cache', true],
    ['team-*/app', 'team-x/app', true],
    ['a.b/*', 'a.b/c', true],
    ['a.b/*', 'axb/c', false],
  ])('%s and %s: %s', (pattern, repo, matches) => {
    expect(repositoryPatternValid(pattern)).toBe(true);
    expect(repositoryMatches([pattern], repo)).toBe(matches);
    expect(repositoryMatches(['other', pattern], repo)).toBe(matches);
  });

  test('no pattern matches nothing', () => {
    expect(repositoryMatches([], 'a')).toBe(false);
  });

  test.each(['', 'A/*', 'a b', '/a', 'a//b', '***', '(a|b)', 'a\n', '*'.repeat(300)])('%j is none', (text) => {
    expect(repositoryPatternValid(text)).toBe(false);
  });
});
