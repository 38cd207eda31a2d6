/**
 * When each host announces everything again: one after the other, at a rate that a tracker bears.
 *
 * Why: a tracker that was restarted is found out about by thousands of hosts within seconds, and what they have to tell is
 *   minutes of its ordinary work. What they seek meanwhile they ask at once, and is answered beside it.
 * Rule: nobody waits longer than an interval, whoever says to have how much: who would, shares a turn.
 */

import { resyncLeasesMax, resyncLeasesPerS } from './limits.ts';

/** Turns that are reckoned ahead, in intervals. */
const aheadMax = 10;

export class Resyncs {
  readonly #intervalMs: number;
  /** When all that were told to have had their turn. */
  #doneMs = Number.NEGATIVE_INFINITY;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** Of a host that believes to have so many leases. Nothing: now. */
  turn(leases: number, nowMs: number): { readonly resyncAfterMs?: number } {
    const queuedMs = Math.max(0, this.#doneMs - nowMs);
    const takesMs = (Math.min(leases, resyncLeasesMax) * 1000) / resyncLeasesPerS;
    this.#doneMs = nowMs + Math.min(queuedMs + takesMs, aheadMax * this.#intervalMs);
    const resyncAfterMs = Math.floor(queuedMs % this.#intervalMs);
    return resyncAfterMs > 0 ? { resyncAfterMs } : {};
  }
}
