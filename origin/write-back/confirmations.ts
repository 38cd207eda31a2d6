/**
 * Who waits until a backend has confirmed a blob, and which it confirmed lately.
 *
 * Rule 1: a wait is bounded, and is over sooner where the backend is down: its caller hears why, and the row stays.
 * Rule 2: what was confirmed lately is told to origins that owe it as well; they look for themselves.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { Clock } from '../../platform/net/clock.ts';

/** Remembered: as many as origins ask about within `rememberMs`. */
const rememberedMax = 20_000;
const rememberMs = 600_000;
/** Below the time that a proxy gives a commit (commitStallMs of clients/origin.ts). */
export const confirmMsMax = 240_000;
/** A backend that fails is given so long to be back. */
export const failingMs = 10_000;
/** How often that is looked at. */
const lookMs = 500;

type Waiter = { readonly done: () => void; readonly failed: (why: string) => void };

export class Confirmations {
  readonly #clock: Clock;
  readonly #waiters = new Map<string, Set<Waiter>>();
  /** By when, the earliest first. */
  readonly #written = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  done(key: string): void {
    const nowMs = this.#clock.nowMs();
    this.#written.delete(key);
    this.#written.set(key, nowMs);
    for (const [oldest, atMs] of this.#written) {
      if (this.#written.size <= rememberedMax && nowMs - atMs < rememberMs) break;
      this.#written.delete(oldest);
    }
    for (const { done } of this.#waiters.get(key) ?? []) done();
  }

  /** It will not be done by itself. */
  failed(key: string, why: string): void {
    for (const { failed } of this.#waiters.get(key) ?? []) failed(why);
  }

  /** Nobody will do any of them here any more. */
  refuse(why: string): void {
    for (const key of [...this.#waiters.keys()]) this.failed(key, why);
  }

  lately(key: string): boolean {
    const atMs = this.#written.get(key);
    return atMs !== undefined && this.#clock.nowMs() - atMs < rememberMs;
  }

  /**
   * Resolves once it is confirmed, from now on. ApiError UNAVAILABLE, where it takes too long or `failing` says why the backend is
   * down. To be called before the row is added, so that it cannot be missed.
   */
  wait(key: string, of: { readonly failing: () => string | undefined; readonly signal: AbortSignal }): Promise<void> {
    const begunMs = this.#clock.nowMs();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let timer: Disposable | undefined;
    const refuse = (why: string): void => reject(new ApiError('UNAVAILABLE', why));
    const waiter: Waiter = { done: resolve, failed: refuse };
    const look = (): void => {
      const waitedMs = this.#clock.nowMs() - begunMs;
      const why = of.failing();
      if (of.signal.aborted) reject(of.signal.reason);
      else if (why !== undefined && waitedMs >= failingMs) refuse(why);
      else if (waitedMs >= confirmMsMax) refuse(`it takes longer than ${confirmMsMax / 1000} s, and goes on`);
      else timer = this.#clock.after(lookMs, look);
    };
    const waiters = this.#waiters.get(key) ?? new Set();
    this.#waiters.set(key, waiters.add(waiter));
    timer = this.#clock.after(lookMs, look);
    return promise.finally(() => {
      timer?.[Symbol.dispose]();
      waiters.delete(waiter);
      if (waiters.size === 0 && this.#waiters.get(key) === waiters) this.#waiters.delete(key);
    });
  }
}
