/**
 * A rate that several transfers share: whoever moved bytes waits until they would have passed at that rate.
 *
 * Rule: first come, first served; what was not used in the last `burstMs` is not saved up.
 */

import type { Clock } from '../../net/clock.ts';
import { pause } from './pause.ts';

/** Long enough for a timer that comes late, short enough that nobody sees a burst. */
const burstMs = 100;

export class RateBucket {
  readonly #clock: Clock;
  readonly #bytesPerS: () => number;
  /** When what was taken has passed. */
  #passedMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, bytesPerS: () => number) {
    this.#clock = clock;
    this.#bytesPerS = bytesPerS;
  }

  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const nowMs = this.#clock.nowMs();
    this.#passedMs = Math.max(this.#passedMs, nowMs - burstMs) + (bytes / this.#bytesPerS()) * 1000;
    if (this.#passedMs > nowMs) await pause(this.#clock, this.#passedMs - nowMs, signal);
  }
}
