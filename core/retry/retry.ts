/**
 * When to try again: exponential back-off with full jitter, limited in attempts and in time, by cause.
 *
 * Rule 1: pure; the caller has the clock, counts its attempts and draws the seed.
 * Rule 2: full jitter, a uniform draw from 0 to the exponential bound: it spreads a herd of clients
 *   best for the same number of calls (AWS Architecture Blog, "Exponential Backoff And Jitter").
 */

import type { Prng } from '../prng.ts';

/**
 * Why an attempt failed. network: no connection, or it broke; stalled: no byte in time;
 * unavailable: the other side said that it, or something behind it, does not answer; busy: it is at
 * a limit; refused: it understood and said no, which another attempt does not change.
 */
export type RetryCause = 'network' | 'stalled' | 'unavailable' | 'busy' | 'refused';

export type RetryPolicy = {
  /** Bound of the first delay. */
  readonly delayMs: number;
  /** Bound of any delay. */
  readonly delayMsMax: number;
  /** Attempts in all, the first one included. */
  readonly attemptsMax: number;
  /** No attempt begins later than this after the first one began. */
  readonly withinMs: number;
};
/** A cause that is not listed is not tried again. */
export type RetryPolicies = { readonly [cause in RetryCause]?: RetryPolicy };

/** For calls between our own processes that may be repeated. */
export const retryDefaults: RetryPolicies = {
  network: { delayMs: 50, delayMsMax: 1000, attemptsMax: 4, withinMs: 5000 },
  stalled: { delayMs: 50, delayMsMax: 1000, attemptsMax: 2, withinMs: 20_000 },
  unavailable: { delayMs: 200, delayMsMax: 2000, attemptsMax: 4, withinMs: 5000 },
  busy: { delayMs: 500, delayMsMax: 5000, attemptsMax: 5, withinMs: 15_000 },
};

export type FailedAttempt = {
  readonly cause: RetryCause;
  /** Attempts that were made, this one included: 1 after the first. */
  readonly attempts: number;
  /** Since the first attempt began. */
  readonly elapsedMs: number;
  /** What the other side asked for (Retry-After); a lower bound of the delay. */
  readonly afterMs?: number | undefined;
};

/** Milliseconds until the next attempt, or undefined: give up and report the failure. */
export function retryDelayMs(policies: RetryPolicies, failed: FailedAttempt, prng: Prng): number | undefined {
  const policy = policies[failed.cause];
  if (policy === undefined || failed.attempts >= policy.attemptsMax) return undefined;
  const delayMs = (failed.afterMs ?? 0) + prng.unit() * backoffMs(policy, failed.attempts);
  return failed.elapsedMs + delayMs > policy.withinMs ? undefined : delayMs;
}

/** The exponential bound of the delay after `attempts` attempts, without jitter. */
export function backoffMs(policy: { delayMs: number; delayMsMax: number }, attempts: number): number {
  // 2^30 is beyond any bound, and keeps the product finite.
  return Math.min(policy.delayMsMax, policy.delayMs * 2 ** Math.min(attempts - 1, 30));
}
