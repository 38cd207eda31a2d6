/**
 * A body that is being read, and that somebody else may put an end to.
 *
 * Rule: whoever waits for the next chunk is the only one who is told. (A race of each chunk with one promise that lives
 *   as long as the body would keep every chunk in memory until the end: a push of 3 GB would take 3 GB.)
 */

export class Interruption {
  #why: Error | undefined;
  #tell: ((why: Error) => void) | undefined;

  /** Ends the body with `why`, now if its reader waits for a chunk, else when it asks for the next one. */
  stop(why: Error): void {
    this.#why ??= why;
    this.#tell?.(why);
  }

  /** The chunks of `body` until `stop` is called. */
  async *until(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const chunks = body[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.#orStopped(chunks.next());
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      // One that waits for its client ends with the connection.
      void chunks.return?.().catch(() => undefined);
    }
  }

  #orStopped<T>(chunk: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#tell = reject;
      if (this.#why !== undefined) reject(this.#why);
      chunk.then(resolve, reject);
    }).finally(() => {
      this.#tell = undefined;
    });
  }
}
