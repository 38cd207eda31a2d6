/** A limit on virtual time: the rate from below and from above, turns, and what an idle time is worth. */

import { expect, test } from 'vitest';
import { VirtualClock } from '../../net/clock.fixtures.ts';
import { Rates } from './rates.ts';
import { burstMs, Throttle } from './throttle.ts';

/** Moves as much as it may, in portions of at most `bytes`; notes when. */
class Mover {
  readonly moved: { readonly ms: number; readonly bytes: number }[] = [];
  readonly #throttle: Throttle;
  readonly #clock: VirtualClock;
  readonly #bytes: number;
  readonly #turn = (): void => this.go();

  constructor(throttle: Throttle, clock: VirtualClock, bytes = throttle.portion) {
    this.#throttle = throttle;
    this.#clock = clock;
    this.#bytes = bytes;
  }

  go(): void {
    for (let paid = this.#throttle.enter(this.#turn); paid > 0; paid = this.#throttle.enter(this.#turn)) {
      this.moved.push({ ms: this.#clock.ms, bytes: this.#bytes });
      this.#throttle.pay(this.#bytes - paid);
    }
  }

  leave(): void {
    this.#throttle.leave(this.#turn);
  }

  total(fromMs = 0, toMs = Number.POSITIVE_INFINITY): number {
    return this.moved.filter(({ ms }) => ms >= fromMs && ms < toMs).reduce((sum, { bytes }) => sum + bytes, 0);
  }
}

const mebibyte = 1024 * 1024;
const second = 1000;

for (const rate of [200_000, 10 * mebibyte, 300_000_000]) {
  test(`${rate} bytes a second are kept to, though timers are late by up to 8 ms`, () => {
    let turn = 0;
    const clock = new VirtualClock(() => (turn++ * 5) % 9);
    const throttle = new Throttle(rate, clock);
    const movers = [new Mover(throttle, clock), new Mover(throttle, clock, Math.floor(throttle.portion / 3))];
    for (const mover of movers) mover.go();
    clock.until(20 * second);
    const total = (fromMs: number, toMs: number): number => movers.reduce((sum, m) => sum + m.total(fromMs, toMs), 0);
    const slack = (rate * burstMs) / 1000 + 2 * throttle.portion;
    for (let ms = 0; ms < 20 * second; ms += 100) expect(total(ms, ms + 100)).toBeLessThanOrEqual(rate / 10 + slack);
    expect(total(0, 20 * second)).toBeLessThanOrEqual(rate * 20 + slack);
    expect(total(0, 20 * second)).toBeGreaterThanOrEqual(rate * 20 - slack);
  });
}

test('those who wait take turns: none gets more than a portion beyond another', () => {
  const clock = new VirtualClock();
  const throttle = new Throttle(mebibyte, clock);
  const movers = Array.from({ length: 5 }, () => new Mover(throttle, clock));
  for (const mover of movers) mover.go();
  clock.until(5 * second);
  const totals = movers.map((mover) => mover.total());
  // The first one finds the bucket full.
  expect(Math.max(...totals) - Math.min(...totals)).toBeLessThanOrEqual(2 * throttle.portion);
});

test('an idle time is not saved up', () => {
  const clock = new VirtualClock();
  const throttle = new Throttle(10 * mebibyte, clock);
  clock.until(60 * second);
  const mover = new Mover(throttle, clock);
  mover.go();
  clock.until(60 * second + 50);
  expect(mover.total()).toBeLessThanOrEqual((10 * mebibyte * (50 + burstMs)) / 1000 + throttle.portion);
});

test('one that left is not called, and holds up nobody', () => {
  const clock = new VirtualClock();
  const throttle = new Throttle(mebibyte, clock);
  const [gone, stays] = [new Mover(throttle, clock), new Mover(throttle, clock)];
  gone.go();
  stays.go();
  gone.leave();
  const before = gone.total();
  clock.until(second);
  expect(gone.total()).toBe(before);
  expect(stays.total()).toBeGreaterThan(mebibyte / 2);
});

test('another rate holds from then on, also for who waits', () => {
  const clock = new VirtualClock();
  const throttle = new Throttle(mebibyte, clock);
  const mover = new Mover(throttle, clock, 16 * 1024);
  mover.go();
  clock.until(second);
  expect(mover.total()).toBeLessThanOrEqual(mebibyte + 2 * throttle.portion);
  throttle.limit(4 * mebibyte);
  clock.until(2 * second);
  expect(mover.total(second)).toBeGreaterThan(3 * mebibyte);
  expect(mover.total(second)).toBeLessThanOrEqual(4 * mebibyte + 2 * throttle.portion);
});

test('rates: a limit is set, changed and taken away; who waited for one that is gone is woken, and goes on without', () => {
  const clock = new VirtualClock();
  const rates = new Rates(clock, {});
  expect(rates.up ?? rates.down).toBeUndefined();
  rates.set({ up: mebibyte });
  const { up } = rates;
  rates.set({ up: 2 * mebibyte, down: mebibyte });
  expect(rates.up).toBe(up);
  let woken = 0;
  const waiting = (): void => {
    if (rates.up === undefined) woken++;
  };
  while ((rates.up?.enter(waiting) ?? 0) > 0);
  rates.set({});
  clock.until(second);
  expect([woken, rates.up, rates.down]).toEqual([1, undefined, undefined]);
});
