/** Drives the Handout: gives it the clock, wakes it when leases end. */

import { Handout, type HandoutConfig, type HandoutInput, type HandoutOutput } from '../core/handout/handout.ts';

/** Between two steps of a mass expiry: other requests come in between. */
const stepMs = 1;

export class TrackerState {
  readonly handout: Handout;
  #timer: NodeJS.Timeout | undefined = undefined;

  constructor(config: HandoutConfig) {
    this.handout = new Handout(config);
  }

  /** Applies `input`; the answer, for inputs that have one. */
  tell(input: HandoutInput): HandoutOutput | undefined {
    this.handout.handle(input, performance.now());
    const [out] = this.handout.drain();
    this.#wake();
    return out;
  }

  /** One timer; renewals only move the deadline on, so it may fire early and is set anew. */
  #wake(): void {
    const { deadlineMs } = this.handout;
    if (this.#timer !== undefined || deadlineMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.tell({ kind: 'tick' });
      },
      Math.max(stepMs, Math.ceil(deadlineMs - performance.now())),
    );
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
