/** How fast the disk is read back: the rate, and who goes first. Upper bounds only: a busy machine may be slower. */

import { expect, test } from 'vitest';
import { givesWayMs, ScrubPace } from './pace.ts';

const mebibyte = 1024 * 1024;
const never = new AbortController().signal;

/** Portions that are let through within `ms`. */
async function portions(pace: ScrubPace, ms: number): Promise<number> {
  const untilMs = performance.now() + ms;
  for (let count = 0; ; count++) {
    await pace.take(mebibyte, never);
    if (performance.now() >= untilMs) return count;
  }
}

test('no more than the rate is read', async () => {
  const pace = new ScrubPace({ bytesPerS: 20 * mebibyte, busy: () => false, late: () => false });
  // What a burst lets through at once, and half a second.
  expect(await portions(pace, 500)).toBeLessThanOrEqual(1 + 1 + 10);
});

test('beside whoever is busy a portion is read now and then; whoever is late gives way for less, and never beyond the rate', async () => {
  const busy = new ScrubPace({ bytesPerS: 1e12, busy: () => true, late: () => false });
  expect(await portions(busy, 3 * givesWayMs)).toBeLessThanOrEqual(3);
  expect(busy.counts.beside).toBeGreaterThan(0);
  const late = new ScrubPace({ bytesPerS: 20 * mebibyte, busy: () => true, late: () => true });
  expect(await portions(late, 500)).toBeLessThanOrEqual(12);
});

test('with whoever was busy gone it goes on at once; an end is an end', async () => {
  let looks = 0;
  const pace = new ScrubPace({ bytesPerS: 1e12, busy: () => ++looks < 3, late: () => false });
  await pace.take(mebibyte, never);
  expect([looks, pace.counts.beside]).toEqual([4, 0]);
  const ending = new AbortController();
  const slow = new ScrubPace({ bytesPerS: 1, busy: () => false, late: () => false });
  await slow.take(mebibyte, ending.signal);
  const waiting = slow.take(mebibyte, ending.signal);
  ending.abort();
  await expect(waiting).rejects.toThrow();
});
