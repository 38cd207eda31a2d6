import { expect, test } from 'vitest';
import { boundS, fluidS, storeAndForwardS, zonesS } from './bound.ts';

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

test('a zone without origins gets every byte by its link; one with origins from these as well', () => {
  const input = { bytes: 3e9, pieces: 3000, ups: many(100, 3e8), downs: many(100, 3e8), originUps: [3e8] };
  const zones = (...links: number[]) => links.map((link, i) => ({ link, originUps: i === 0 ? [3e8] : [] }));
  expect(zonesS({ ...input, zones: zones(1e8, 1e8) })).toBeCloseTo(30);
  expect(zonesS({ ...input, zones: zones(1e8) })).toBeCloseTo(7.5);
  expect(boundS({ ...input, zones: zones(2e8, 1e8) })).toBeCloseTo(30);
  expect(boundS({ ...input, zones: zones(1e9, 1e9) })).toBe(boundS(input));
});
