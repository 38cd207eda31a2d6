/**
 * A handover of chunks from one writer to one reader: a chunk is offered, and the writer goes on when
 * the reader has taken it. At most one chunk waits here, so the slower side sets the pace.
 */

type State = 'open' | 'ended' | 'left' | { readonly failed: unknown };

export class Feed implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  #state: State = 'open';
  #offer: { readonly chunk: Uint8Array; taken(): void } | undefined;
  #wake: (() => void) | undefined;

  /** Resolves true once the reader has taken `chunk`, false once it has left. One at a time. */
  put(chunk: Uint8Array): Promise<boolean> {
    if (this.#state !== 'open') return Promise.resolve(false);
    return new Promise((resolve) => {
      this.#offer = { chunk, taken: () => resolve(this.#state !== 'left') };
      this.#wake?.();
    });
  }

  /** Nothing more comes. */
  end(): void {
    this.#change('ended');
  }

  /** The rest will never come: the reader throws `error`. */
  fail(error: unknown): void {
    this.#change({ failed: error });
  }

  /** The reader is gone; whoever offers is told so. */
  leave(): void {
    this.#change('left');
    this.#take();
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    while (true) {
      if (typeof this.#state === 'object') throw this.#state.failed;
      const chunk = this.#take();
      if (chunk !== undefined) return { done: false, value: chunk };
      if (this.#state !== 'open') return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.leave();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(): Uint8Array | undefined {
    const offer = this.#offer;
    this.#offer = undefined;
    offer?.taken();
    return offer?.chunk;
  }

  #change(state: State): void {
    if (this.#state !== 'open') return;
    this.#state = state;
    this.#wake?.();
  }
}
