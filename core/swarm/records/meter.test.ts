/** The uplink's meter: busy time only, never above what is configured. */

import { expect, test } from 'vitest';
import { Meter } from './meter.ts';

test('it settles at what is carried while busy, and idle time does not count', () => {
  const meter = new Meter(10_000_000);
  expect(meter.rate).toBe(10_000);
  for (let ms = 0; ms < 20_000; ms += 200) {
    meter.busy(ms);
    meter.carried(100_000, ms + 100);
    meter.idle();
  }
  expect(meter.rate).toBeGreaterThan(990);
  expect(meter.rate).toBeLessThan(1_010);
});

test('it never exceeds the configured figure, and finds back up to it', () => {
  const meter = new Meter(1_000_000);
  meter.busy(0);
  for (let ms = 100; ms <= 5_000; ms += 100) meter.carried(10_000, ms);
  expect(meter.rate).toBeLessThan(120);
  for (let ms = 5_100; ms <= 20_000; ms += 100) meter.carried(10_000_000, ms);
  expect(meter.rate).toBeGreaterThan(990);
  expect(meter.rate).toBeLessThanOrEqual(1_000);
});
