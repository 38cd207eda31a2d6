/** Callers that wait for one event, each with its own signal and the time since when it waits. */

type Waiter<T> = { readonly sinceMs: number; resolve(value: T): void; reject(error: unknown): void };

export class Waiters<T> {
  readonly #waiting = new Set<Waiter<T>>();

  get size(): number {
    return this.#waiting.size;
  }

  /** Rejects with the signal's reason once it is aborted. */
  wait(nowMs: number, signal: AbortSignal | undefined): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const waiter: Waiter<T> = {
        sinceMs: nowMs,
        resolve: (value) => {
          signal?.removeEventListener('abort', abort);
          resolve(value);
        },
        reject: (error) => {
          signal?.removeEventListener('abort', abort);
          reject(error);
        },
      };
      const abort = (): void => {
        this.#waiting.delete(waiter);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.add(waiter);
    });
  }

  resolve(value: T): void {
    for (const waiter of this.#waiting) waiter.resolve(value);
    this.#waiting.clear();
  }

  reject(error: unknown): void {
    for (const waiter of this.#waiting) waiter.reject(error);
    this.#waiting.clear();
  }

  /** Rejects those who wait since before `sinceMs`; `error` is made only if there is one. */
  rejectOlder(sinceMs: number, error: () => Error): void {
    for (const waiter of this.#waiting) {
      if (waiter.sinceMs >= sinceMs) continue;
      this.#waiting.delete(waiter);
      waiter.reject(error());
    }
  }
}
