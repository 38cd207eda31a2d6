import { afterEach, expect, test, vi } from 'vitest';
import { asideMax, FetchLane, standMsMax } from './lane.ts';

const never = new AbortController().signal;

afterEach(() => void vi.useRealTimers());

test('so many run, the others wait in turn, and who gives up leaves its place', async () => {
  const lane = new FetchLane({ runningMax: 2, waitingMax: 2 }, ['main']);
  const ends: (() => void)[] = [];
  const began: number[] = [];
  const work = (no: number) => () => {
    began.push(no);
    return new Promise<void>((resolve) => ends.push(resolve));
  };
  const runs = [0, 1].map((no) => lane.run('main', work(no), never));
  const gone = new AbortController();
  const givenUp = lane.run('main', work(2), gone.signal);
  runs.push(lane.run('main', work(3), never));
  await Promise.resolve();
  expect([began, lane.running, lane.waiting, lane.full('main')]).toEqual([[0, 1], 2, 2, true]);
  gone.abort(new Error('enough'));
  await expect(givenUp).rejects.toThrow('enough');
  expect([lane.waiting, lane.full('main')]).toEqual([1, false]);
  ends[0]!();
  await expect.poll(() => began).toEqual([0, 1, 3]);
  for (const end of ends) end();
  await Promise.all(runs);
  expect([lane.running, lane.waiting]).toEqual([0, 0]);
  await expect(lane.run('main', () => Promise.reject(new Error('failed')), never)).rejects.toThrow('failed');
  expect(lane.running).toBe(0);
});

test('a backend that hangs leaves places to run, and to wait, to the others', async () => {
  const lane = new FetchLane({ runningMax: 16, waitingMax: 8 }, ['hangs', 'well']);
  const end = new AbortController();
  const ended = Promise.withResolvers<void>();
  const hung = Array.from({ length: 16 }, () => lane.run('hangs', () => ended.promise, end.signal));
  expect([lane.running, lane.waiting, lane.full('hangs'), lane.full('well')]).toEqual([12, 4, true, false]);
  const at = { most: 0, now: 0 };
  const work = async (): Promise<void> => {
    at.now += 1;
    at.most = Math.max(at.most, at.now);
    await new Promise(setImmediate);
    at.now -= 1;
  };
  await Promise.all(Array.from({ length: 8 }, () => lane.run('well', work, never)));
  expect(at).toEqual({ most: 4, now: 0 });
  expect([lane.running, lane.waiting]).toEqual([12, 4]);
  ended.resolve();
  await Promise.all(hung);
  expect([lane.running, lane.waiting]).toEqual([0, 0]);
});

test('one that is alone, or whose others rest, takes what there is', async () => {
  const ended = Promise.withResolvers<void>();
  const alone = new FetchLane({ runningMax: 16, waitingMax: 8 }, ['main']);
  const many = Array.from({ length: 16 }, () => alone.run('main', () => ended.promise, never));
  expect(alone.running).toBe(16);
  const twenty = Array.from({ length: 20 }, (_, no) => `b${no}`);
  const crowded = new FetchLane({ runningMax: 16, waitingMax: 8 }, twenty);
  many.push(...twenty.map((name) => crowded.run(name, () => ended.promise, never)));
  // Each has one at least, however many they are.
  expect(crowded.running).toBe(20);
  ended.resolve();
  await Promise.all(many);
});

test('of one backend what stands gives its place to who waits, goes on, and what moves keeps it', async () => {
  vi.useFakeTimers();
  const lane = new FetchLane({ runningMax: 4, waitingMax: 1_000 }, ['main']);
  const ended = Promise.withResolvers<string>();
  let received = 0;
  const moves = lane.run(
    'main',
    () => ended.promise,
    never,
    () => ++received,
  );
  const hung = Array.from({ length: 3 }, () => lane.run('main', () => ended.promise, never));
  await vi.advanceTimersByTimeAsync(2 * standMsMax);
  expect([lane.running, lane.aside]).toEqual([4, 0]);
  const done: number[] = [];
  const others = Array.from({ length: 8 }, (_, no) => lane.run('main', async () => void done.push(no), never));
  await vi.advanceTimersByTimeAsync(standMsMax);
  expect([done.length, lane.running, lane.aside, lane.waiting]).toEqual([8, 1, 3, 0]);
  ended.resolve('whole');
  expect(await Promise.all([moves, ...hung])).toEqual(Array.from({ length: 4 }, () => 'whole'));
  await Promise.all(others);
  expect([lane.running, lane.aside]).toEqual([0, 0]);
  expect(vi.getTimerCount()).toBe(0);
});

test('no more than so many stand aside: the others keep their places', async () => {
  vi.useFakeTimers();
  const lane = new FetchLane({ runningMax: 4, waitingMax: 1_000 }, ['main']);
  const ended = Promise.withResolvers<void>();
  const hung = Array.from({ length: asideMax + 10 }, () => lane.run('main', () => ended.promise, never));
  await vi.advanceTimersByTimeAsync(100 * standMsMax);
  expect([lane.running, lane.aside, lane.waiting]).toEqual([4, asideMax, 6]);
  ended.resolve();
  await Promise.all(hung);
  expect([lane.running, lane.aside, lane.waiting]).toEqual([0, 0, 0]);
});
