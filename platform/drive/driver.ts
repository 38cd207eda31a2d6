/**
 * Runs a machine of core/: inputs in order, outputs performed at once, woken when something is due.
 *
 * Rule 1: `handle` is never entered from within; what is told while outputs are performed waits for its turn.
 * Rule 2: a machine ticks only at its deadline: a wake-up that is too early looks again.
 */

import type { Machine, Tick } from '../../core/machine.ts';
import type { Clock } from '../net/clock.ts';

/** Where a driver's time comes from. `at`: rings once that time has come, never from within. */
export type Alarm = { nowMs(): number; at(ms: number, ring: () => void): Disposable };

/** A machine that does what is due in steps is given its next one after so long: others come in between. */
const stepMs = 1;

const tick: Tick = { kind: 'tick' };

export function alarmOf(clock: Clock): Alarm {
  return {
    nowMs: () => clock.nowMs(),
    at: (ms, ring) => clock.after(Math.max(stepMs, Math.ceil(ms - clock.nowMs())), ring),
  };
}

export type DriverParts<Input, Output, Due extends string> = {
  readonly machine: Machine<Input, Output, Due>;
  readonly alarm: Alarm;
  readonly perform: (output: Output) => void;
  /** It is woken, and for that. */
  readonly woken?: (due: Due) => void;
};

export class Driver<Input, Output, Due extends string> {
  /** Inputs handled so far, ticks among them. */
  steps = 0;
  readonly #parts: DriverParts<Input, Output, Due>;
  readonly #inputs: (Input | Tick)[] = [];
  readonly #ring = (): void => this.#wake();
  #state: 'idle' | 'running' | 'ended' = 'idle';
  #timer: Disposable | undefined = undefined;
  /** When the timer rings; Infinity: it is not set. */
  #wakeMs = Number.POSITIVE_INFINITY;

  constructor(parts: DriverParts<Input, Output, Due>) {
    this.#parts = parts;
  }

  input(input: Input | Tick): void {
    if (this.#state === 'ended') return;
    this.#inputs.push(input);
    if (this.#state === 'idle') this.#run();
  }

  /** Nothing is handled any more. */
  end(): void {
    this.#state = 'ended';
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #run(): void {
    const { machine, alarm, perform } = this.#parts;
    this.#state = 'running';
    try {
      // By index, for a performed output may add inputs.
      for (let i = 0; i < this.#inputs.length && this.#state === 'running'; i++) {
        this.steps++;
        machine.handle(this.#inputs[i] as Input, alarm.nowMs());
        for (const output of machine.drain()) perform(output);
      }
    } finally {
      this.#inputs.length = 0;
      if (this.#state === 'running') this.#state = 'idle';
    }
    if (this.#state === 'idle') this.#sleep();
  }

  /** A timer that rings too early is kept: to move it for every input would cost more. */
  #sleep(): void {
    const { machine, alarm } = this.#parts;
    const { deadlineMs } = machine;
    if (this.#wakeMs <= deadlineMs) return;
    this.#timer?.[Symbol.dispose]();
    this.#wakeMs = deadlineMs;
    this.#timer = alarm.at(deadlineMs, this.#ring);
  }

  #wake(): void {
    const { machine, alarm, woken } = this.#parts;
    this.#wakeMs = Number.POSITIVE_INFINITY;
    this.#timer = undefined;
    if (machine.deadlineMs > alarm.nowMs()) return this.#sleep();
    woken?.(machine.due as Due);
    this.input(tick);
  }
}
