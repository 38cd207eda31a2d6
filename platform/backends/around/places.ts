/** Places for what may be under way at once; who finds none waits for its turn. */

export class Places {
  readonly #most: () => number;
  readonly #waitingMax: number;
  readonly #waiting = new Set<() => void>();
  #taken = 0;

  /** `most` may change: a place that is left is not given on while too many are taken. */
  constructor(most: () => number, waitingMax: number) {
    this.#most = most;
    this.#waitingMax = waitingMax;
  }

  /** A place, left when it is disposed of; undefined: too many wait already. */
  async take(signal: AbortSignal): Promise<Disposable | undefined> {
    signal.throwIfAborted();
    if (this.#taken >= this.#most() || this.#waiting.size > 0) {
      if (this.#waiting.size >= this.#waitingMax) return undefined;
      await this.#turn(signal);
    } else this.#taken += 1;
    return {
      [Symbol.dispose]: () => {
        this.#taken -= 1;
        this.#pass();
      },
    };
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = (): void => {
      if (this.#waiting.delete(resolve)) reject(signal.reason);
    };
    signal.addEventListener('abort', leave);
    this.#waiting.add(resolve);
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  #pass(): void {
    for (const next of this.#waiting) {
      if (this.#taken >= this.#most()) return;
      this.#waiting.delete(next);
      this.#taken += 1;
      next();
    }
  }
}
