import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { prng } from '../prng.ts';
import { backoffMs, type RetryPolicy, retryDefaults, retryDelayMs } from './retry.ts';

const policy: RetryPolicy = { delayMs: 100, delayMsMax: 1000, attemptsMax: 5, withinMs: 10_000 };
const policies = { network: policy };

describe('retry', () => {
  test('the bound doubles up to its maximum', () => {
    expect([1, 2, 3, 4, 5, 500].map((attempts) => backoffMs(policy, attempts))).toEqual([
      100, 200, 400, 800, 1000, 1000,
    ]);
  });

  test('a delay is a uniform draw below the bound', () => {
    const random = prng(7);
    const delays = Array.from(
      { length: 2000 },
      () => retryDelayMs(policies, { cause: 'network', attempts: 2, elapsedMs: 0 }, random)!,
    );
    expect(Math.min(...delays)).toBeLessThan(5);
    expect(Math.max(...delays)).toBeGreaterThan(195);
    expect(Math.max(...delays)).toBeLessThan(200);
    const mean = delays.reduce((sum, delay) => sum + delay, 0) / delays.length;
    expect(mean).toBeGreaterThan(95);
    expect(mean).toBeLessThan(105);
  });

  test('gives up at the limit of attempts and of time, and at causes without a policy', () => {
    expect(retryDelayMs(policies, { cause: 'network', attempts: 5, elapsedMs: 0 }, prng(1))).toBeUndefined();
    expect(retryDelayMs(policies, { cause: 'network', attempts: 1, elapsedMs: 10_000 }, prng(1))).toBeUndefined();
    expect(retryDelayMs(policies, { cause: 'refused', attempts: 1, elapsedMs: 0 }, prng(1))).toBeUndefined();
    expect(retryDelayMs(retryDefaults, { cause: 'refused', attempts: 1, elapsedMs: 0 }, prng(1))).toBeUndefined();
  });

  test('waits at least as long as the other side asked for', () => {
    const delay = retryDelayMs(policies, { cause: 'network', attempts: 1, elapsedMs: 0, afterMs: 2000 }, prng(1))!;
    expect(delay).toBeGreaterThanOrEqual(2000);
    expect(delay).toBeLessThan(2100);
    expect(
      retryDelayMs(policies, { cause: 'network', attempts: 1, elapsedMs: 0, afterMs: 20_000 }, prng(1)),
    ).toBeUndefined();
  });

  test('a loop that obeys it ends within its limits', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.constantFrom('network', 'stalled', 'unavailable', 'busy' as const),
        fc.nat(3000),
        (seed, cause, callMs) => {
          const random = prng(seed);
          let elapsedMs = callMs;
          let attempts = 1;
          for (;;) {
            const delay = retryDelayMs(retryDefaults, { cause, attempts, elapsedMs }, random);
            if (delay === undefined) break;
            expect(elapsedMs + delay).toBeLessThanOrEqual(retryDefaults[cause]!.withinMs);
            elapsedMs += delay + callMs;
            attempts++;
          }
          expect(attempts).toBeLessThanOrEqual(retryDefaults[cause]!.attemptsMax);
        },
      ),
    );
  });
});
