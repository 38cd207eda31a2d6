/**
 * What the uplink really carries, from receipts: bytes over the time in which anything was
 * outstanding. The configured figure is where it starts and the most that it is trusted to be.
 */

import { meterMs } from '../limits.ts';

/** New figures count half. */
const weight = 0.5;

export class Meter {
  #bytesPerMs: number;
  readonly #bytesPerMsMax: number;
  #bytes = 0;
  #busyMs = 0;
  /** When the uplink last became busy; -1: it is idle. */
  #sinceMs = -1;

  constructor(bytesPerS: number) {
    this.#bytesPerMs = bytesPerS / 1000;
    this.#bytesPerMsMax = bytesPerS / 1000;
  }

  /** Bytes a millisecond. */
  get rate(): number {
    return this.#bytesPerMs;
  }

  /** Something is outstanding from now on. */
  busy(nowMs: number): void {
    if (this.#sinceMs < 0) this.#sinceMs = nowMs;
  }

  /** `bytes` have arrived. */
  carried(bytes: number, nowMs: number): void {
    if (this.#sinceMs < 0) return;
    this.#bytes += bytes;
    this.#busyMs += nowMs - this.#sinceMs;
    this.#sinceMs = nowMs;
    if (this.#busyMs < meterMs) return;
    const rate = Math.min(this.#bytesPerMsMax, this.#bytes / this.#busyMs);
    this.#bytesPerMs += (rate - this.#bytesPerMs) * weight;
    this.#bytes = 0;
    this.#busyMs = 0;
  }

  /** Nothing is outstanding any more. */
  idle(): void {
    this.#sinceMs = -1;
  }
}
