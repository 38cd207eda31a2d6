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

type Any = Machine<never, unknown, string>;
type InputOf<M extends Any> = Parameters<M['handle']>[0];
type OutputOf<M extends Any> = ReturnType<M['drain']>[number];
type DueOf<M extends Any> = NonNullable<M['due']>;

export type DriverParts<M extends Any> = {
  readonly machine: M;
  readonly alarm: Alarm;
  readonly perform: (output: OutputOf<M>) => void;
  /** It is woken, and for that. */
  readonly woken?: (due: DueOf<M>) => void;
};

export class Driver<M extends Any> {
  /** To ask things of; only its driver tells it any. */
  readonly machine: M;
  /** Inputs handled so far, ticks among them. */
  steps = 0;
  readonly #parts: DriverParts<M>;
  /** What is told while it runs. */
  readonly #inputs: (InputOf<M> | Tick)[] = [];
  readonly #ring = (): void => this.#wake();
  #state: 'idle' | 'running' | 'ended' = 'idle';
  #timer: Disposable | undefined = undefined;
  /** When the timer rings; Infinity: it is not set. */
  #wakeMs = Number.POSITIVE_INFINITY;

  constructor(parts: DriverParts<M>) {
    this.machine = parts.machine;
    this.#parts = parts;
  }

  input(input: InputOf<M> | Tick): void {
    if (this.#state === 'idle') this.#run(input);
    else if (this.#state === 'running') this.#inputs.push(input);
  }

  /** Nothing is handled any more. */
  end(): void {
    this.#state = 'ended';
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #run(first: InputOf<M> | Tick): void {
    this.#state = 'running';
    try {
      this.#step(first);
      // By index, for a performed output may add inputs.
      for (let i = 0; i < this.#inputs.length && this.#state === 'running'; i++)
        this.#step(this.#inputs[i] as InputOf<M> | Tick);
    } finally {
      if (this.#inputs.length > 0) this.#inputs.length = 0;
      if (this.#state === 'running') this.#state = 'idle';
    }
    if (this.#state === 'idle') this.#sleep();
  }

  #step(input: InputOf<M> | Tick): void {
    const { machine } = this;
    const { alarm, perform } = this.#parts;
    this.steps++;
    machine.handle(input as never, alarm.nowMs());
    for (const output of machine.drain()) perform(output as OutputOf<M>);
  }

  /** A timer that rings too early is kept: to move it for every input would cost more. */
  #sleep(): void {
    const { deadlineMs } = this.machine;
    if (this.#wakeMs <= deadlineMs) return;
    this.#timer?.[Symbol.dispose]();
    this.#wakeMs = deadlineMs;
    this.#timer = this.#parts.alarm.at(deadlineMs, this.#ring);
  }

  #wake(): void {
    const { machine } = this;
    const { alarm, woken } = this.#parts;
    this.#wakeMs = Number.POSITIVE_INFINITY;
    this.#timer = undefined;
    if (machine.deadlineMs > alarm.nowMs()) return this.#sleep();
    woken?.(machine.due as DueOf<M>);
    this.input(tick);
  }
}
