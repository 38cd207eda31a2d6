/**
 * Runs the swarm: inputs in order, outputs performed at once, one timer for its deadline.
 *
 * Rule 1: `handle` is never entered from within; what happens while outputs are performed waits.
 * Rule 2: time never runs backwards, since it comes from one monotonic clock.
 */

import type { Swarm } from '../../core/swarm/swarm.ts';
import type { Input, Output } from '../../core/swarm/types.ts';

/** setTimeout takes 31 bits; a wake-up too early does no harm. */
const sleepMsMax = 60_000;

export class Machine {
  readonly #swarm: Swarm;
  readonly #nowMs: () => number;
  readonly #perform: (output: Output) => void;
  readonly #inputs: Input[] = [];
  #state: 'idle' | 'running' | 'ended' = 'idle';
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires; Infinity: it is not set. */
  #wakeMs = Number.POSITIVE_INFINITY;

  constructor(swarm: Swarm, nowMs: () => number, perform: (output: Output) => void) {
    this.#swarm = swarm;
    this.#nowMs = nowMs;
    this.#perform = perform;
  }

  input(input: Input): void {
    if (this.#state === 'ended') return;
    this.#inputs.push(input);
    if (this.#state === 'idle') this.#run();
  }

  end(): void {
    this.#state = 'ended';
    clearTimeout(this.#timer);
  }

  #run(): void {
    this.#state = 'running';
    // By index, for a performed output may add inputs.
    for (let i = 0; i < this.#inputs.length; i++) {
      this.#swarm.handle(this.#inputs[i] as Input, this.#nowMs());
      for (const output of this.#swarm.drain()) this.#perform(output);
    }
    this.#inputs.length = 0;
    if ((this.#state as string) === 'ended') return;
    this.#state = 'idle';
    this.#sleep();
  }

  /** A timer that fires too early only looks again: moving it for every input would cost more. */
  #sleep(): void {
    const deadlineMs = this.#swarm.deadlineMs;
    if (this.#wakeMs <= deadlineMs) return;
    clearTimeout(this.#timer);
    this.#wakeMs = deadlineMs;
    const ms = Math.min(sleepMsMax, Math.max(0, Math.ceil(deadlineMs - this.#nowMs())));
    this.#timer = setTimeout(() => this.#wake(), ms);
  }

  #wake(): void {
    this.#wakeMs = Number.POSITIVE_INFINITY;
    if (this.#swarm.deadlineMs <= this.#nowMs()) this.input({ kind: 'tick' });
    else this.#sleep();
  }
}
