/** One at a time of each name; who comes meanwhile has its turn after the others, in order. */

export class BlobTurns {
  readonly #last = new Map<string, Promise<void>>();

  async take<T>(name: string, act: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name);
    const { promise, resolve } = Promise.withResolvers<void>();
    const mine = (before ?? Promise.resolve()).then(() => promise);
    this.#last.set(name, mine);
    try {
      await before;
      return await act();
    } finally {
      resolve();
      if (this.#last.get(name) === mine) this.#last.delete(name);
    }
  }
}
