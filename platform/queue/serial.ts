/** Turns of work in memory, one line for each key. */

/** One piece of work at a time for each key, in order of arrival. Failures are their caller's alone. */
export class Serial<K> {
  readonly #last = new Map<K, Promise<unknown>>();

  async run<T>(key: K, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    const mine = (async () => {
      if (before !== undefined) await before;
      return await work();
    })();
    const settled = mine.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(key, settled);
    try {
      return await mine;
    } finally {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    }
  }

  /** Resolves once everything given so far is done. */
  async idle(): Promise<void> {
    await Promise.all(this.#last.values());
  }
}
