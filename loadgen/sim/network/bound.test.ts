import { expect, test } from 'vitest';
import { boundS, fluidS, storeAndForwardS } from './bound.ts';

const many = (count: number, value: number): number[] => new Array<number>(count).fill(value);

// The table of reference figures: 3 GB at 300 MB/s both ways.
test.each([
  [2600, 1, 3000, 10.037],
  [2600, 5, 3000, 10.03],
  [15000, 1, 3000, 10.043],
  [2600, 1, 750, 10.147],
  [2600, 5, 750, 10.12],
  [15000, 5, 750, 10.147],
])('%i hosts, %i seeds, %i pieces: %f s', (hosts, seeds, pieces, expected) => {
  const bound = boundS({
    bytes: 3e9,
    pieces,
    ups: many(hosts, 3e8),
    downs: many(hosts, 3e8),
    originUps: many(seeds, 3e8),
  });
  expect(bound).toBeCloseTo(expected, 2);
});

test('uplinks slower than downlinks bound the whole', () => {
  const input = { bytes: 3e9, pieces: 3000, ups: many(2600, 2e8), downs: many(2600, 3e8), originUps: many(5, 3e8) };
  expect(fluidS(input)).toBeCloseTo(14.96, 1);
  expect(boundS(input)).toBeGreaterThanOrEqual(storeAndForwardS(input));
});

test('the slowest downlink bounds the last host', () => {
  expect(
    fluidS({ bytes: 3e9, pieces: 3000, ups: many(10, 3e8), downs: [...many(9, 3e8), 3e7], originUps: [3e8] }),
  ).toBe(100);
});
