/** The Handout, driven: what it answers to each input. */

import {
  Handout,
  type HandoutConfig,
  type HandoutDue,
  type HandoutInput,
  type HandoutOutput,
} from '../core/handout/handout.ts';
import { alarmOf, Driver } from '../platform/drive/driver.ts';
import { type Clock, realClock } from '../platform/net/clock.ts';

export class TrackerState {
  readonly handout: Handout;
  readonly #driver: Driver<HandoutInput, HandoutOutput, HandoutDue>;
  #answer: HandoutOutput | undefined = undefined;

  constructor(config: HandoutConfig, clock: Clock = realClock) {
    this.handout = new Handout(config);
    this.#driver = new Driver({
      machine: this.handout,
      alarm: alarmOf(clock),
      perform: (output) => {
        this.#answer = output;
      },
    });
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
