import { expect, test } from 'vitest';
import { runSeeds } from './crew.ts';
import { runSeed } from './run.ts';

test('a seed runs the same in a thread beside others, and results come in order', async () => {
  const seeds = [3, 1, 2];
  const results = [];
  for await (const result of runSeeds(seeds, 2, {})) results.push(result);
  expect(results.map(({ seed }) => seed)).toEqual(seeds);
  expect(results.map(({ violation }) => violation)).toEqual([undefined, undefined, undefined]);
  const alone = await runSeed({ seed: 2 });
  expect(results[2]?.traceHash).toBe(alone.traceHash);
  expect(results[2]?.faults).toEqual(alone.faults);
}, 300_000);
