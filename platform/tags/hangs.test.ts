import { expect, test } from 'vitest';
import { Hangs } from './hangs.ts';

test('what was asked before the process stood still is known from what was asked after it', () => {
  using hangs = new Hangs();
  const before = performance.now();
  expect(hangs.since(before)).toBe(false);
  // As one that was stopped, and goes on in the middle of something: no timer has come yet.
  const end = performance.now() + 1_100;
  while (performance.now() < end);
  expect(hangs.since(before)).toBe(true);
  expect(hangs.since(performance.now() + 1)).toBe(false);
  expect(hangs.since(before)).toBe(true);
});
