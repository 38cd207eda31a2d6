/**
 * Which trackers answer: what is logged of it, and whom a question without a lease is not put to first.
 *
 * Rule: one line when a tracker stops answering, one when it answers again, with how often it was tried.
 */

import type { Logger } from '../telemetry/log.ts';

/** A tracker that was silent is asked again whether it is there no more often than this. */
const probeEveryMs = 2_000;

export class TrackerHealth {
  readonly #log: Logger;
  /** Announces that failed in a row. */
  readonly #failures = new Map<string, number>();
  /** When it was last found silent, or asked whether it still is. */
  readonly #silentMs = new Map<string, number>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** An announce failed. */
  failed(tracker: string, why: string): void {
    const failures = (this.#failures.get(tracker) ?? 0) + 1;
    this.#failures.set(tracker, failures);
    if (failures === 1) this.#log.warn({ tracker, why }, 'a tracker does not answer: it is tried again');
    else this.#log.debug({ tracker, why, failures }, 'announce failed');
  }

  answered(tracker: string): void {
    this.#silentMs.delete(tracker);
    const failures = this.#failures.get(tracker);
    if (failures === undefined) return;
    this.#failures.delete(tracker);
    this.#log.info({ tracker, failures }, 'a tracker answers again');
  }

  /** A question was not answered in time, or failed. */
  wasSilent(tracker: string, nowMs: number): void {
    if (!this.#silentMs.has(tracker)) this.#silentMs.set(tracker, nowMs);
  }

  silent(tracker: string): boolean {
    return this.#silentMs.has(tracker);
  }

  /** Whether the silent tracker should be asked now if it still is; not again for a while. */
  probes(tracker: string, nowMs: number): boolean {
    const sinceMs = this.#silentMs.get(tracker);
    if (sinceMs === undefined || nowMs - sinceMs < probeEveryMs) return false;
    this.#silentMs.set(tracker, nowMs);
    return true;
  }
}
