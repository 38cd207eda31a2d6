/** How long the other side may be silent in what is waited for just now. */

import type { Clock } from '../../net/clock.ts';

export class Silence implements Disposable {
  readonly #clock: Clock;
  readonly #over: (what: string, ms: number) => void;
  #timer: Disposable | undefined;

  constructor(clock: Clock, over: (what: string, ms: number) => void) {
    this.#clock = clock;
    this.#over = over;
  }

  /** From now on, and no longer for what was waited for before. */
  wait(what: string, ms: number): void {
    this.rest();
    this.#timer = this.#clock.after(ms, () => this.#over(what, ms));
  }

  rest(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  [Symbol.dispose](): void {
    this.rest();
  }
}
