/** Contestants take turns, and ratios compare what ran side by side. */

import { expect, test } from 'vitest';
import { memoryDirectory } from '../../harness/memory.ts';
import { type Contestant, contest } from './contest.ts';

test('turns, medians, and the ratio of neighbours', async () => {
  await using stack = new AsyncDisposableStack();
  const dir = memoryDirectory(stack, 2 ** 20);
  const order: string[] = [];
  const of = (name: 'a' | 'b', seconds: number[], cpu: number): Contestant<'a' | 'b'> => ({
    name,
    touches: 0,
    run: async () => {
      order.push(name);
      return { seconds: seconds.shift() ?? Number.NaN, cpuS: { it: cpu } };
    },
    after: async () => void order.push(`after ${name}`),
  });
  // The machine is half as fast in the second round, for both.
  const results = await contest(dir, [of('a', [1, 2, 1], 3), of('b', [2, 4, 2], 7)], 3);
  expect(order.slice(0, 4)).toEqual(['a', 'after a', 'b', 'after b']);
  expect(results.speedRatio('a', 'b')).toBe(2);
  expect(results.seconds('b')).toBe(2);
  expect(results.cpuS('b', 'it')).toBe(7);
  expect(results.cpuS('b', 'other')).toBeNaN();
});
