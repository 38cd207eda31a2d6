/** Medians and percentiles, on samples whose answers are plain. */

import { expect, test } from 'vitest';
import { median, percentile, rounded } from './numbers.ts';

test('a percentile is the smallest sample that enough others are not above', () => {
  const samples = [5, 1, 4, 2, 3];
  expect(percentile(samples, 0)).toBe(1);
  expect(percentile(samples, 0.5)).toBe(3);
  expect(percentile(samples, 0.99)).toBe(5);
  expect(percentile(samples, 1)).toBe(5);
  expect(percentile([], 0.5)).toBeNaN();
});

test('the median of an even number of samples lies between the two in the middle', () => {
  expect(median([9, 1, 3, 5])).toBe(4);
  expect(median([2])).toBe(2);
  expect(median([])).toBeNaN();
});

test('figures keep four digits', () => {
  expect(rounded(1234.567)).toBe(1235);
  expect(rounded(0.00123456)).toBe(0.001235);
  expect(rounded(Number.NaN)).toBeNaN();
});
