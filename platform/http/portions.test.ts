import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Portions } from './portions.ts';

test('all is done in order, so much in a turn, and others have theirs in between', async () => {
  const portions = new Portions(10);
  const done: number[] = [];
  for (let no = 0; no < 95; no++) portions.add(() => void done.push(no));
  expect(done).toEqual([]);
  for (let turns = 1; turns <= 10; turns++) {
    await turn();
    expect(done).toHaveLength(Math.min(95, 10 * turns));
  }
  expect(done).toEqual(Array.from({ length: 95 }, (_, no) => no));
  expect(portions.size).toBe(0);
});

test('where more comes for as long as there is some, what is done is let go of', async () => {
  const portions = new Portions(100);
  let [done, left] = [0, 100_000];
  const work = (): void => {
    done += 1;
    if (left-- > 0) portions.add(work);
  };
  for (let no = 0; no < 2_600; no++) portions.add(work);
  let most = 0;
  while (done < 102_600) {
    await turn();
    most = Math.max(most, portions.size);
  }
  expect(most).toBeLessThan(2_600 + 1_000 + 100);
  expect(portions.size).toBe(0);
});
