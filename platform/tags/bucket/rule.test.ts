import { expect, test } from 'vitest';
import { besideStore, bucketProblems } from './rule.ts';

const rule = { name: 'main', kind: 's3', readOnly: false, shared: undefined };
const said = (backend: string, ...rules: Parameters<typeof bucketProblems>[1]) =>
  bucketProblems(backend, rules).map(({ path, message }) => `${path.join('.')}: ${message}`);

test('a rule of its own is fine', () => {
  expect(said('main', rule)).toEqual([]);
});

test.each([
  [said('other', rule), ['store.backend: other is not the name of a rule of `backends`: there are main']],
  [said('main'), ['store.backend: main is not the name of a rule of `backends`: `backends` has none']],
  [said('main', { ...rule, kind: 'file' }), ['store.backend: the rule main is of kind file, where']],
  [said('main', { ...rule, readOnly: true }), ['store.backend: the rule main is `readOnly`']],
  [said('main', { ...rule, shared: true }), ['store.backend: the rule main is `shared`']],
])('%j', (problems, begin) => {
  expect(problems.length).toBe(begin.length);
  for (const [i, start] of begin.entries()) expect(problems[i]?.startsWith(start)).toBe(true);
});

test('others beside it are backends of repositories, and it is none', () => {
  const rules = [rule, { ...rule, name: 'b' }];
  expect(said('main', ...rules)).toEqual([]);
  expect(besideStore(rules, { kind: 'bucket', backend: 'main' })).toEqual([rules[1]]);
  expect(besideStore(rules, { kind: 'sqlite' })).toEqual(rules);
});
