/**
 * What is logged of trackers that do not answer.
 *
 * Rule: one line when a tracker stops answering, one when it answers again, with how often it was tried.
 */

import type { LineLog } from '../telemetry/log.ts';

export class TrackerHealth {
  readonly #log: Pick<LineLog, 'debug' | 'info' | 'warn'>;
  /** Announces that failed in a row. */
  readonly #failures = new Map<string, number>();

  constructor(log: Pick<LineLog, 'debug' | 'info' | 'warn'>) {
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
    const failures = this.#failures.get(tracker);
    if (failures === undefined) return;
    this.#failures.delete(tracker);
    this.#log.info({ tracker, failures }, 'a tracker answers again');
  }
}
