/** What a run comes to: rates over all rounds, pushes of all rounds together, and no figure where the wrong blobs went. */

import { expect, test } from 'vitest';
import { gcFigures } from './figures.ts';

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

test('rates are over the time of all collections, and percentiles over the pushes of all rounds', () => {
  const rounds = [
    { seconds: 1, indexSeconds: 0.5, looked: 1_000, removed: 50, garbage: 50, before: upTo(50), during: upTo(50) },
    {
      seconds: 3,
      indexSeconds: 1,
      looked: 1_000,
      removed: 50,
      garbage: 50,
      before: upTo(50),
      during: upTo(50).map((ms) => ms + 50),
    },
  ];
  expect(gcFigures(rounds)).toEqual({
    ...{ gcBlobs: 1_000, gcGarbage: 100, gcSeconds: 4, gcIndexSeconds: 1.5, gcBlobsPerS: 500, gcRemovedPerS: 25 },
    ...{ gcPushes: 100, gcPushesBefore: 100, gcPushP99Ms: 99, gcPushP99BeforeMs: 50, gcPushP99Ratio: 1.98 },
    gcPushMeanRatio: 1.98,
  });
});

test('a p99 of few pushes is compared with nothing', () => {
  const round = {
    seconds: 1,
    indexSeconds: 0.5,
    looked: 1_000,
    removed: 50,
    garbage: 50,
    before: upTo(100),
    during: upTo(99),
  };
  expect(gcFigures([round])['gcPushP99Ratio']).toBe('skipped: 100 and 99 pushes are too few');
});

test.each([49, 51])('%i of 50 blobs that nothing refers to are no figure', (removed) => {
  const round = { seconds: 1, indexSeconds: 0.5, looked: 1_000, removed, garbage: 50, before: [1], during: [1] };
  expect(() => gcFigures([round])).toThrow(`${removed} blobs were removed, and nothing referred to 50`);
});
