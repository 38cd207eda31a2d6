import { expect, test } from 'vitest';
import { ourName, patternsOutside, theirName } from './namespace.ts';

const cases: readonly (readonly [string, string, string, string | undefined])[] = [
  ['', '', 'a/b', 'a/b'],
  ['mirror/hub', 'library', 'mirror/hub/nginx', 'library/nginx'],
  ['mirror/hub', '', 'mirror/hub/library/nginx', 'library/nginx'],
  ['', 'team', 'app', 'team/app'],
  ['a/app', 'b/web', 'a/app', 'b/web'],
  ['mirror', 'x', 'mirrored/y', undefined],
  ['mirror', '', 'mirror', undefined],
];

test.each(cases)('from %o to %o: %s is %s there, and back', (from, to, ours, theirs) => {
  const map = { from, to };
  expect(theirName(map, ours)).toBe(theirs);
  if (theirs !== undefined) expect(ourName(map, theirs)).toBe(ours);
});

test('what is not mapped has no name here either', () => {
  expect(ourName({ from: 'mirror/hub', to: 'library' }, 'other/x')).toBeUndefined();
  expect(ourName({ from: 'mirror/hub', to: 'library' }, 'librarian/x')).toBeUndefined();
});

test('patterns of which some repository has no name there are named', () => {
  const from = (map: string, ...patterns: string[]) => patternsOutside({ from: map, to: 'x' }, patterns);
  expect(from('', '**')).toEqual([]);
  expect(from('mirror', '**', 'mirror/**', 'mirror/x/*', 'mirror*', 'mirror', 'other')).toEqual([
    ...['**', 'mirror*', 'other'],
  ]);
  expect(patternsOutside({ from: 'mirror', to: '' }, ['mirror'])).toEqual(['mirror']);
});
