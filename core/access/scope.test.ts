import { expect, test } from 'vitest';
import type { AccessRule } from './rights.ts';
import { covers, grantedOf, grantedText, scopesIn, scopesMax, scopeText } from './scope.ts';

const rules: readonly AccessRule[] = [
  { repositories: ['team-a/**'], who: ['user:alice'], may: ['pull', 'push'] },
  { repositories: ['library/**'], who: ['anonymous'], may: ['pull'] },
];
const alice = { name: 'alice', groups: [] };

test.each([
  ['repository:library/app:pull', [['repository', 'library/app', 'pull']]],
  [
    'repository:a:pull,push repository:b:*',
    [
      ['repository', 'a', 'pull,push'],
      ['repository', 'b', '*'],
    ],
  ],
  ['repository(plugin):a:pull', [['repository', 'a', 'pull']]],
  ['registry:catalog:*', [['registry', 'catalog', '*']]],
  ['', []],
  ['repository', []],
  ['repository:a', []],
  ['repository:A:pull', []],
  ['repository:../a:pull', []],
  ['registry:other:*', []],
  ['host:a:pull', []],
] as const)('%j is read as %j', (text, expected) => {
  const found = scopesIn([text]).map(({ type, name, actions }) => [type, name, actions.join(',')]);
  expect(found).toEqual(expected);
});

test('of more scopes than one image needs the first count', () => {
  const many = Array.from({ length: scopesMax + 10 }, (_, i) => `repository:a${i}:pull`);
  expect(scopesIn(many)).toHaveLength(scopesMax);
});

test('what was asked for and is no right is left out', () => {
  const asked = scopesIn(['repository:team-a/app:pull,push,delete', 'repository:other:pull', 'repository:library/x:*']);
  expect(grantedText(grantedOf(asked, rules, alice))).toBe('repository:team-a/app:pull,push repository:library/x:pull');
  expect(grantedText(grantedOf(asked, rules, { groups: [] }))).toBe('repository:library/x:pull');
  expect(grantedOf(asked, [], alice)).toEqual([]);
});

test('a token is for what it says, and a list of repositories is something of its own', () => {
  const granted = grantedOf(scopesIn(['repository:team-a/app:pull']), rules, alice);
  expect(covers(granted, { repo: 'team-a/app', action: 'pull' })).toBe(true);
  expect(covers(granted, { repo: 'team-a/app', action: 'push' })).toBe(false);
  expect(covers(granted, { repo: 'team-a/web', action: 'pull' })).toBe(false);
  expect(covers(granted, { action: 'pull' })).toBe(false);
  expect(covers(grantedOf(scopesIn(['registry:catalog:*']), rules, alice), { action: 'pull' })).toBe(true);
  // Whoever may nothing at all sees no list either.
  expect(grantedOf(scopesIn(['registry:catalog:*']), [], alice)).toEqual([]);
});

test('what is lacking is said as it is to be asked for', () => {
  const text = scopeText([
    { repo: 'a', action: 'push' },
    { repo: 'b', action: 'pull' },
    { repo: 'a', action: 'pull' },
  ]);
  expect(text).toBe('repository:a:push,pull repository:b:pull');
  expect(scopeText([{ action: 'pull' }])).toBe('registry:catalog:*');
});
