/** For tests: time that moves by hand. */

import type { Clock } from './clock.ts';

/** Calls in order of time; every one comes `lateMs` late. */
export class VirtualClock implements Clock {
  ms = 0;
  readonly #lateMs: () => number;
  readonly #timers = new Set<{ readonly atMs: number; readonly call: () => void }>();

  constructor(lateMs: () => number = () => 0) {
    this.#lateMs = lateMs;
  }

  /** Calls that are still to come. */
  get waiting(): number {
    return this.#timers.size;
  }

  nowMs(): number {
    return this.ms;
  }

  after(ms: number, call: () => void): Disposable {
    const timer = { atMs: this.ms + ms + this.#lateMs(), call };
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }

  soon(call: () => void): void {
    this.#timers.add({ atMs: this.ms, call });
  }

  until(endMs: number): void {
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.atMs - b.atMs);
      if (next === undefined || next.atMs > endMs) break;
      this.#timers.delete(next);
      this.ms = next.atMs;
      next.call();
    }
    this.ms = endMs;
  }
}
