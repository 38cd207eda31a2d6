import { describe, expect, test } from 'vitest';
import { type ReplicationRule, remotesOf, ruleFor, rulesOverlap, tagMatches, tagPatternValid } from './rules.ts';

const rule = (repositories: string[], to: string[], more: Partial<ReplicationRule> = {}): ReplicationRule => ({
  ...{ repositories, to, deletes: false },
  ...more,
});

describe('rules of replication', () => {
  test('a repository goes to the remotes of every rule that has it, each once', () => {
    const rules = [rule(['a/**'], ['west', 'east']), rule(['a/b', 'c'], ['north']), rule(['d'], ['west'])];
    expect(remotesOf(rules, 'a/b')).toEqual(['west', 'east', 'north']);
    expect(remotesOf(rules, 'c')).toEqual(['north']);
    expect(remotesOf(rules, 'x')).toEqual([]);
    expect(ruleFor(rules, 'a/b', 'north')).toBe(rules[1]);
    expect(ruleFor(rules, 'a/x', 'north')).toBeUndefined();
  });

  test('two rules overlap where one repository would have two for one remote', () => {
    const one = rule(['a/*', 'b'], ['west', 'east']);
    expect(rulesOverlap(one, rule(['**/x'], ['east']))).toEqual({ remote: 'east', pattern: 'a/*', with: '**/x' });
    expect(rulesOverlap(one, rule(['**/x'], ['north']))).toBeUndefined();
    expect(rulesOverlap(one, rule(['c/**'], ['east']))).toBeUndefined();
  });

  test.each([
    [undefined, 'anything', true],
    [['v*'], 'v1', true],
    [['v*'], 'v', true],
    [['v*'], 'rv1', false],
    [['1.2'], '1.2', true],
    [['1.2'], '1x2', false],
    [['a', '*-prod'], 'x-prod', true],
    [[], 'x', false],
  ])('tags %j and %s: %s', (patterns, tag, matches) => {
    expect(tagMatches(patterns, tag)).toBe(matches);
  });

  test('what is no pattern of tags', () => {
    for (const text of ['', '.a', '-a', 'a/b', 'a:b', 'x'.repeat(129)]) expect(tagPatternValid(text)).toBe(false);
    for (const text of ['*', 'v*', '1.2-*', 'latest', '_x']) expect(tagPatternValid(text)).toBe(true);
  });
});
