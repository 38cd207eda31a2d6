/**
 * So many at a time; the others wait in the order in which they came, and not more than `waitingMax` of them.
 *
 * Rule: whoever gives up while it waits has had no turn.
 */

export type FetchLaneLimits = { readonly runningMax: number; readonly waitingMax: number };

export class FetchLane {
  readonly #limits: FetchLaneLimits;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(limits: FetchLaneLimits) {
    this.#limits = limits;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Whether one more would neither run nor wait. */
  get full(): boolean {
    return this.#running >= this.#limits.runningMax && this.#waiting.length >= this.#limits.waitingMax;
  }

  /** Runs `work` when it is its turn. Rejects with the signal's reason where that comes first. */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#turn(signal);
    try {
      return await work();
    } finally {
      // The place goes on to the next one, or is free.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#running < this.#limits.runningMax) {
      this.#running += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const begin = (): void => {
        signal.removeEventListener('abort', givenUp);
        resolve();
      };
      const givenUp = (): void => {
        const at = this.#waiting.indexOf(begin);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(signal.reason);
      };
      this.#waiting.push(begin);
      signal.addEventListener('abort', givenUp, { once: true });
    });
  }
}
