import { expect, test } from 'vitest';
import { FetchLane } from './lane.ts';

const never = new AbortController().signal;

test('so many run, the others wait in turn, and who gives up leaves its place', async () => {
  const lane = new FetchLane({ runningMax: 2, waitingMax: 2 });
  const ends: (() => void)[] = [];
  const began: number[] = [];
  const work = (no: number) => () => {
    began.push(no);
    return new Promise<void>((resolve) => ends.push(resolve));
  };
  const runs = [0, 1].map((no) => lane.run(work(no), never));
  const gone = new AbortController();
  const givenUp = lane.run(work(2), gone.signal);
  runs.push(lane.run(work(3), never));
  await Promise.resolve();
  expect([began, lane.running, lane.waiting, lane.full]).toEqual([[0, 1], 2, 2, true]);
  gone.abort(new Error('enough'));
  await expect(givenUp).rejects.toThrow('enough');
  expect([lane.waiting, lane.full]).toEqual([1, false]);
  ends[0]!();
  await expect.poll(() => began).toEqual([0, 1, 3]);
  for (const end of ends) end();
  await Promise.all(runs);
  expect([lane.running, lane.waiting]).toEqual([0, 0]);
  await expect(lane.run(() => Promise.reject(new Error('failed')), never)).rejects.toThrow('failed');
  expect(lane.running).toBe(0);
});
