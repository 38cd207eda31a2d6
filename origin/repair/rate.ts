/**
 * The bytes a second that all repairs of this origin together may take: who wants some is called when it is its turn.
 *
 * Rule: turns are given in the order of asking; what was not used for a moment is made up for, up to `burstMs`, no more.
 */

import type { Clock } from '../../platform/net/clock.ts';

/** As timers are late. */
const burstMs = 50;

export class Rate {
  readonly bytesPerS: number;
  readonly #clock: Clock;
  /** When all that was given has had its time. */
  #paidMs = Number.NEGATIVE_INFINITY;

  constructor(bytesPerS: number, clock: Clock) {
    this.bytesPerS = bytesPerS;
    this.#clock = clock;
  }

  /** Calls `go` once `bytes` more may come, and never from within. Disposed of before, it is not called. */
  wait(bytes: number, go: () => void): Disposable {
    const nowMs = this.#clock.nowMs();
    const atMs = Math.max(nowMs - burstMs, this.#paidMs);
    this.#paidMs = atMs + (bytes * 1000) / this.bytesPerS;
    return this.#clock.after(Math.max(0, atMs - nowMs), go);
  }
}
