import { describe, expect, test } from 'vitest';
import { parse } from '../contracts/parse.ts';
import { accessDocument, accessKeys, accessPublic, hashProblem, userNameValid } from './documents.ts';
import { oddities } from './oddities.ts';
import type { AccessRule } from './rights.ts';

const password = `$2y$05$${'a'.repeat(53)}`;
const rule = { repositories: ['**'], who: ['users'], may: ['pull'] };
const rulesOf = (rules: unknown): readonly AccessRule[] => {
  const read = parse(accessDocument, { rules }, 'it');
  return read.ok ? read.value.rules : [];
};
const problemOf = (body: unknown): string => {
  const read = parse(accessDocument, body, 'it');
  return read.ok ? '' : read.problem;
};

describe('the document of users and rules', () => {
  test('what is left out is empty', () => {
    expect(parse(accessDocument, {}, 'it')).toEqual({
      ok: true,
      value: { users: [], rules: [], issuers: [], keyGeneration: 0, forgetKeys: false },
    });
  });

  test.each([
    [[], 'it is not an object'],
    [{ users: [{ name: 'a', password: 'plain', groups: [] }] }, 'users[0].password is no bcrypt hash'],
    [{ users: [{ name: 'a b', password, groups: [] }] }, 'users[0].name is no name'],
    [{ users: [{ name: 'a', password, groups: ['x:y'] }] }, 'users[0].groups[0] is no name of a group'],
    [{ users: [0, 1].map(() => ({ name: 'a', password, groups: [] })) }, 'users has a twice'],
    [{ rules: [{ ...rule, who: ['everybody'] }] }, "rules[0].who[0] is none of 'anonymous'"],
    [{ rules: [{ ...rule, who: [] }] }, 'rules[0].who is empty'],
    [{ rules: [{ ...rule, may: ['write'] }] }, 'rules[0].may[0]'],
    [{ rules: [{ ...rule, repositories: ['UPPER'] }] }, 'rules[0].repositories[0] is no pattern'],
    // What is not understood may be what keeps somebody out.
    [{ rules: [{ ...rule, unless: 'x' }] }, 'rules[0].unless is not known here'],
  ])('%j: %s', (body, problem) => {
    expect(problemOf(body)).toContain(problem);
  });
});

test.each([
  [password, undefined],
  [`$2a$14$${'a'.repeat(53)}`, undefined],
  [`$2b$15$${'a'.repeat(53)}`, 'has cost 15'],
  [`$2b$03$${'a'.repeat(53)}`, 'has cost 3'],
  ['$apr1$abc$def', 'is no bcrypt hash'],
  [`${password}x`, 'is no bcrypt hash'],
])('the hash %s: %s', (hash, problem) => {
  if (problem === undefined) expect(hashProblem(hash)).toBeUndefined();
  else expect(hashProblem(hash)).toContain(problem);
});

test.each([
  ['alice', true],
  ['a.b_c@d-e+f', true],
  ['', false],
  ['-a', false],
  ['a:b', false],
  ['ä', false],
  ['a'.repeat(65), false],
])('the name %j: %s', (name, valid) => {
  expect(userNameValid(name)).toBe(valid);
});

test('what agents read has no secret in it, whatever is written there', () => {
  const key = { kty: 'EC', crv: 'P-256', x: 'x'.repeat(43), y: 'y'.repeat(43), kid: 'k', d: 'd'.repeat(43) };
  const read = parse(accessPublic, { users: [{ name: 'a', groups: [], password }], rules: [], keys: [key] }, 'it');
  expect(read.ok && JSON.stringify(read.value)).not.toMatch(/\$2y|dddd/);
  expect(parse(accessKeys, { generation: 1, keys: [{ ...key, fromMs: 5 }] }, 'it')).toMatchObject({
    ok: true,
    value: { keys: [{ d: key.d, fromMs: 5 }] },
  });
});

describe('what is allowed and odd', () => {
  const users = [{ name: 'alice', password, groups: ['dev'] }];
  test.each([
    [[], ['there are no rules: nobody may do anything']],
    [[{ ...rule, who: ['user:bob'] }], ['rules[0]: there is no user bob', 'user alice: no rule is for them']],
    [[{ ...rule, who: ['group:ops', 'group:dev'] }], ['rules[0]: nobody is in group ops']],
    [
      [{ ...rule, who: ['anonymous'], may: ['pull', 'push'] }],
      ['rules[0]: anybody may push ** without saying who he is'],
    ],
    [
      [{ ...rule, may: ['push'] }],
      ['rules[0]: push without pull: clients look whether a layer is there before they push it'],
    ],
    [[{ ...rule, who: ['users', 'user:system:serviceaccount:ns:sa'] }], []],
    [[rule], []],
  ])('%j: %j', (rules, lines) => {
    expect(oddities({ users, rules: rulesOf(rules) })).toEqual(lines);
  });
});
