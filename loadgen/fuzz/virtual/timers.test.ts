/** Product code that waits, and draws, by whichever door of Node goes by the run's time and seed. */

import { randomBytes, randomInt, randomUUID } from 'node:crypto';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { EventQueue } from '../../sim/events.ts';
import { installRandom } from './random.ts';
import { installTimers, turnOver } from './timers.ts';

let undo: (() => void)[] = [];
afterEach(() => {
  for (const one of undo) one();
  undo = [];
});

test('a sleep of node:timers/promises takes virtual time, and none of ours', async () => {
  const events = new EventQueue();
  undo.push(installTimers(events, () => undefined));
  const ended: string[] = [];
  void sleep(3_600_000).then(() => ended.push(`slept to ${events.nowMs}`));
  const stop = new AbortController();
  void sleep(5_000, undefined, { signal: stop.signal }).catch((error: Error) => ended.push(error.name));
  events.run(1_000);
  stop.abort();
  while (await turnOver());
  expect(ended).toEqual(['AbortError']);
  events.run(4_000_000);
  while (await turnOver());
  expect(ended).toEqual(['AbortError', 'slept to 3600000']);
});

test('a run waits for immediates, however many follow each other', async () => {
  undo.push(installTimers(new EventQueue(), () => undefined));
  let turns = 0;
  void (async () => {
    for (; turns < 5; turns++) await turn();
    setImmediate(() => {
      turns = 100;
    });
  })();
  clearImmediate(setImmediate(() => expect.unreachable()));
  while (await turnOver());
  expect(turns).toBe(100);
});

test('what the product draws is the same for the same seed', () => {
  const draw = (seed: number): string => {
    const restore = installRandom(seed);
    const drawn = [randomBytes(8).toString('hex'), randomUUID(), randomInt(2 ** 31), randomInt(5, 9), Math.random()];
    restore();
    return drawn.join(' ');
  };
  expect(draw(1)).toBe(draw(1));
  expect(draw(1)).not.toBe(draw(2));
  expect(draw(1).split(' ')[1]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
  // The real one is back.
  expect(randomUUID()).not.toBe(randomUUID());
});
