/**
 * How fast, and when, bytes at rest are read: at most at a rate, and where somebody else is busy, after them.
 *
 * Rule 1: the rate holds over any time from `burstMs` on; what was not used is not saved up.
 * Rule 2: whoever carries pieces has the disk and the workers first: while there are any, a portion is read each
 *         `givesWayMs` only, one at a time; so a pull waits behind one portion at most, and the reading still goes on.
 * Rule 3: whoever is late gives way for a tenth of that: what is promised is a bounded time.
 */

import { setTimeout as sleep } from 'node:timers/promises';

export type ScrubPaceOptions = {
  readonly bytesPerS: number;
  /** Pieces are under way. */
  readonly busy: () => boolean;
  /** The reading lags behind what was promised. */
  readonly late: () => boolean;
};

/** A portion is 1 MiB (store/stored.ts): 4 MiB a second beside others, 40 where it is late, and never beyond the rate. */
export const givesWayMs = 250;
const givesWayLateMs = 25;
/** How often it is looked whether somebody is busy still. */
const lookMs = 25;
const burstMs = 50;

export class ScrubPace {
  readonly #options: ScrubPaceOptions;
  /** When all that was read has had its time. */
  #paidMs = Number.NEGATIVE_INFINITY;
  /** Portions that were read while somebody was busy, and those that were put off; for the metrics. */
  readonly counts = { beside: 0, putOff: 0 };

  constructor(options: ScrubPaceOptions) {
    this.#options = options;
  }

  /** Resolves once so many bytes may be read; rejects with the signal's end. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    const { bytesPerS, busy, late } = this.#options;
    const begunMs = performance.now();
    this.#paidMs = Math.max(this.#paidMs, begunMs - burstMs);
    await wait(this.#paidMs - begunMs, signal);
    if (busy()) {
      this.counts.putOff++;
      const untilMs = begunMs + (late() ? givesWayLateMs : givesWayMs);
      while (busy() && performance.now() < untilMs) await wait(lookMs, signal);
      if (busy()) this.counts.beside++;
    }
    this.#paidMs = Math.max(this.#paidMs, performance.now() - burstMs) + (bytes * 1000) / bytesPerS;
  }
}

/** Keeps no process alive. */
export async function wait(ms: number, signal: AbortSignal): Promise<void> {
  if (ms > 0) await sleep(ms, undefined, { signal, ref: false });
  else signal.throwIfAborted();
}
