/** The Handout, driven: what it answers to each input. */

import { Handout } from '../core/handout/handout.ts';
import type { HandoutLimits } from '../core/handout/limits.ts';
import type { HandoutConfig, HandoutInput, HandoutOutput } from '../core/handout/types.ts';
import { alarmOf, Driver } from '../platform/drive/driver.ts';
import { type Clock, realClock } from '../platform/net/clock.ts';

export class TrackerState {
  readonly limits: HandoutLimits;
  readonly #driver: Driver<Handout>;
  #answer: HandoutOutput | undefined = undefined;

  constructor(config: HandoutConfig, clock: Clock = realClock) {
    this.limits = config.limits;
    this.#driver = new Driver({
      machine: new Handout(config),
      alarm: alarmOf(clock),
      perform: (output) => {
        this.#answer = output;
      },
    });
  }

  get handout(): Handout {
    return this.#driver.machine;
  }

  /** Applies `input`; the answer, for inputs that have one. */
  tell(input: HandoutInput): HandoutOutput | undefined {
    this.#answer = undefined;
    this.#driver.input(input);
    return this.#answer;
  }

  [Symbol.dispose](): void {
    this.#driver.end();
  }
}
