/**
 * What the uplink really carries, from receipts: bytes over the time in which anything was
 * outstanding. The configured figure is where it starts and the most that it is trusted to be.
 */

import { meterMs } from '../limits.ts';

/** New figures count half. */
const weight = 0.5;

/** Where each number lies: side by side, as in rows.ts, for all of them are looked at with every receipt. */
const rateAt = 0;
const mostAt = 1;
const bytesAt = 2;
const busyAt = 3;
const sinceAt = 4;

export class Meter {
  readonly #numbers = new Float64Array(5);

  constructor(bytesPerS: number) {
    this.#numbers[rateAt] = bytesPerS / 1000;
    this.#numbers[mostAt] = bytesPerS / 1000;
    this.idle();
  }

  /** Bytes a millisecond. */
  get rate(): number {
    return this.#numbers[rateAt]!;
  }

  /** Something is outstanding from now on. */
  busy(nowMs: number): void {
    if (this.#numbers[sinceAt]! < 0) this.#numbers[sinceAt] = nowMs;
  }

  /** `bytes` have arrived. */
  carried(bytes: number, nowMs: number): void {
    const numbers = this.#numbers;
    if (numbers[sinceAt]! < 0) return;
    numbers[bytesAt]! += bytes;
    numbers[busyAt]! += nowMs - numbers[sinceAt]!;
    numbers[sinceAt] = nowMs;
    if (numbers[busyAt]! < meterMs) return;
    const rate = Math.min(numbers[mostAt]!, numbers[bytesAt]! / numbers[busyAt]!);
    numbers[rateAt]! += (rate - numbers[rateAt]!) * weight;
    numbers[bytesAt] = 0;
    numbers[busyAt] = 0;
  }

  /** Nothing is outstanding any more; when the uplink last became busy is -1 then. */
  idle(): void {
    this.#numbers[sinceAt] = -1;
  }
}
