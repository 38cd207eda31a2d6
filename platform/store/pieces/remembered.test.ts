import { expect, test } from 'vitest';
import { Trust, trustMs } from './remembered.ts';

test('what was seen is trusted until it is too long ago, and never longer than trustMs', () => {
  for (const start of [0, 1, trustMs / 2 - 1, 7 * trustMs + 3]) {
    const trust = new Trust(8);
    trust.saw(3, start);
    expect(trust.has(3, start)).toBe(true);
    expect(trust.has(2, start)).toBe(false);
    expect(trust.has(3, start + trustMs / 2 - 1)).toBe(true);
    expect(trust.has(3, start + trustMs)).toBe(false);
  }
});

test('what is seen again stays trusted, what is not goes', () => {
  const trust = new Trust(4);
  trust.sawAll(0);
  for (let at = 0; at <= 3 * trustMs; at += trustMs / 4) trust.saw(1, at);
  expect([0, 1, 2, 3].map((piece) => trust.has(piece, 3 * trustMs))).toEqual([false, true, false, false]);
});

test('a whole file with another stamp than when it was sealed is not trusted, and is again once it was seen', () => {
  const trust = new Trust(4);
  trust.sawAll(0);
  trust.seal(17);
  trust.check(17);
  expect(trust.has(0, 0)).toBe(true);
  trust.check(18);
  expect(trust.has(0, 0)).toBe(false);
  trust.saw(0, 0);
  trust.check(18);
  expect([trust.has(0, 0), trust.has(1, 0)]).toEqual([true, false]);
});

test('a file that was never sealed is not trusted by its first stamp', () => {
  const trust = new Trust(4);
  trust.saw(2, 0);
  trust.check(1);
  expect(trust.has(2, 0)).toBe(false);
});

test('doubt ends all trust', () => {
  const trust = new Trust(4);
  trust.sawAll(0);
  trust.seal(1);
  trust.forget();
  expect(trust.has(0, 0)).toBe(false);
});
