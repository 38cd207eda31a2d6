/**
 * Reads of one key that come at once cost one: what many ask for is asked for a few times, and no answer is older than
 * the question.
 *
 * Rule 1: who asks while a read of the key is under way waits for the next one, never for that one: it began before, and
 *   may have seen what was there before a write that has been acknowledged since.
 * Rule 2: the next one begins when the one before has ended, and the longer many keep asking the later: each read in a row
 *   that several wait for puts off the next one for longer, up to `gatherMsMax` since it began itself, and each one for a
 *   single asker for less. Who asks where nobody else did lately never waits.
 * Rule 3: a read that takes longer than `besideMs` is not waited for: the next one begins beside it, `runningMax` at most.
 * Rule 4: a failure is told to those who waited for that read, and to nobody else. Who gives up leaves alone; a read that
 *   all have left is told to stop.
 */

import type { Clock } from '../net/clock.ts';

/** Ten reads a second of one key: who pulls an image does not notice a tenth of one. */
const gatherMsMax = 100;
/** From there on it is `gatherMsMax`. */
const rowMax = 8;
/** A read of an engine that is well has long ended. */
const besideMs = 500;
/** Reads of one key that hang, at once: each holds one of an engine's connections. */
const runningMax = 4;
/** Keys that are read at once, about 1 KB each; what comes beyond is read alone. */
const keysMax = 10_000;

type Ask<T> = (signal: AbortSignal) => Promise<T>;
type Waiter<T> = { readonly resolve: (value: T) => void; readonly reject: (error: unknown) => void };
/** `stop`: of a read that has begun. */
type Turn<T> = { readonly ask: Ask<T>; readonly waiters: Set<Waiter<T>>; stop: AbortController | undefined };
type Key<T> = {
  readonly name: string;
  readonly running: Set<Turn<T>>;
  next: Turn<T> | undefined;
  /** Two for each read in a row that several waited for, less those for one alone; when the last one began. */
  row: number;
  begunMs: number;
  timer: Disposable | undefined;
};

export class Herd<T> {
  readonly #clock: Clock;
  readonly #keys = new Map<string, Key<T>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Keys that are being read. */
  get size(): number {
    return this.#keys.size;
  }

  /** `ask` must be the same question for each who names the key; whose of them is asked is anybody's. */
  read(name: string, ask: Ask<T>, signal?: AbortSignal): Promise<T> {
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    const known = this.#keys.get(name);
    if (known === undefined && this.#keys.size >= keysMax) return ask(signal ?? new AbortController().signal);
    const key: Key<T> = known ?? { name, running: new Set(), next: undefined, row: 0, begunMs: 0, timer: undefined };
    const turn: Turn<T> = key.next ?? { ask, waiters: new Set(), stop: undefined };
    key.next = turn;
    const answer = waitIn(turn, signal);
    if (known === undefined) {
      this.#keys.set(name, key);
      this.#begin(key, turn);
    } else this.#schedule(key);
    return answer;
  }

  /** Sees to it that the next one begins when it may. */
  #schedule(key: Key<T>): void {
    const { next } = key;
    key.timer?.[Symbol.dispose]();
    key.timer = undefined;
    if (next === undefined) return this.#rest(key);
    if (key.running.size >= runningMax) return;
    const since = this.#clock.nowMs() - key.begunMs;
    const waitMs = (key.running.size > 0 ? besideMs : gatherMs(key.row)) - since;
    if (waitMs <= 0) return this.#begin(key, next);
    key.timer = this.#clock.after(waitMs, () => this.#schedule(key));
  }

  #begin(key: Key<T>, turn: Turn<T>): void {
    key.next = undefined;
    if (turn.waiters.size === 0) return this.#rest(key);
    key.running.add(turn);
    key.row = turn.waiters.size > 1 ? Math.min(rowMax, key.row + 2) : Math.max(0, key.row - 1);
    key.begunMs = this.#clock.nowMs();
    const stop = new AbortController();
    turn.stop = stop;
    const end = (tell: (waiter: Waiter<T>) => void): void => {
      for (const waiter of turn.waiters) tell(waiter);
      key.running.delete(turn);
      this.#schedule(key);
    };
    // What throws at once is a failure like others.
    new Promise<T>((resolve) => resolve(turn.ask(stop.signal))).then(
      (value) => end(({ resolve }) => resolve(value)),
      (error: unknown) => end(({ reject }) => reject(error)),
    );
  }

  /** Nobody has asked since. Where many did just now, the next ones are still part of their row. */
  #rest(key: Key<T>): void {
    if (key.running.size > 0) return;
    const forget = (): void => void this.#keys.delete(key.name);
    if (key.row === 0) forget();
    else key.timer = this.#clock.after(gatherMsMax, forget);
  }
}

function gatherMs(row: number): number {
  return row === 0 ? 0 : Math.min(gatherMsMax, 2 ** (row - 1));
}

function waitIn<T>(turn: Turn<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      turn.waiters.delete(waiter);
      if (turn.waiters.size === 0) turn.stop?.abort(signal?.reason);
      reject(signal?.reason);
    };
    const stay = (): void => signal?.removeEventListener('abort', leave);
    const waiter: Waiter<T> = {
      resolve(value) {
        stay();
        resolve(value);
      },
      reject(error) {
        stay();
        reject(error);
      },
    };
    turn.waiters.add(waiter);
    signal?.addEventListener('abort', leave, { once: true });
  });
}
