import { describe, expect, test } from 'vitest';
import { repositoryMatches, repositoryPatternsMeet, repositoryPatternValid } from './pattern.ts';

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

  test.each([
    ['a/b', 'a/b', true],
    ['a/b', 'a/c', false],
    ['**', 'a/b', true],
    ['a/*', '*/b', true],
    ['a/*', 'a/b/c', false],
    ['a/*', 'a/**', true],
    ['a*', '*b', true],
    ['a*', 'b*', false],
    ['a/**', 'b/**', false],
    ['**/x', 'a/*', true],
    ['*/x', 'a/b/*', false],
    ['team-*/app', 'team-a*/**', true],
    ['*', 'a/b', false],
    ['a/*/c', 'a/b/*', true],
    ['a/*/c', 'a/b/d*', false],
  ])('a name that is one of %s and of %s: %s', (one, other, meets) => {
    expect(repositoryPatternsMeet(one, other)).toBe(meets);
    expect(repositoryPatternsMeet(other, one)).toBe(meets);
  });
});
