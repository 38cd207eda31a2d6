/**
 * Writes of this process to one thing have turns, in the order in which they came: so they do not undo each other's
 * attempts, and take effect in that order. Other processes are told apart by the conditions alone.
 */

export class Lanes {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Once all that came before it for any of `keys` is over. */
  async run<T>(keys: readonly string[], act: () => Promise<T>): Promise<T> {
    const before = keys.map((key) => this.#last.get(key));
    const done = Promise.allSettled(before).then(act);
    const over = done.then(
      () => undefined,
      () => undefined,
    );
    for (const key of keys) this.#last.set(key, over);
    try {
      return await done;
    } finally {
      for (const key of keys) if (this.#last.get(key) === over) this.#last.delete(key);
    }
  }
}
