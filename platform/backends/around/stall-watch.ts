/** Whether anything moves: a signal that is aborted with the caller's, or once nothing has moved for too long. */

import type { Clock } from '../../net/clock.ts';

export type StallWatchOptions = {
  readonly clock: Clock;
  /** For so long nothing may move. */
  readonly ms: number;
  readonly signal: AbortSignal;
  readonly stalled: () => Error;
};

export class StallWatch implements Disposable {
  readonly #options: StallWatchOptions;
  readonly #abort = new AbortController();
  readonly #follow: () => void;
  #timer: Disposable | undefined;
  #fail: ((reason: unknown) => void) | undefined;
  /** Callers' own work that is waited for: reads of a source. */
  #others = 0;

  constructor(options: StallWatchOptions) {
    this.#options = options;
    const { signal } = options;
    this.#follow = () => this.#end(signal.reason);
    if (signal.aborted) this.#follow();
    else signal.addEventListener('abort', this.#follow);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** What `answer` gives, if it comes before all this ends. Meanwhile the backend has to move something. One at a time. */
  async during<T>(answer: Promise<T>): Promise<T> {
    // No race: it would hold every chunk of an object until the signal is gone.
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#fail = reject;
    answer.then(resolve, reject);
    if (this.signal.aborted) reject(this.signal.reason);
    else this.#begin();
    try {
      return await promise;
    } finally {
      this.#fail = undefined;
      this.#pause();
    }
  }

  /** The caller's chunks on their way to the backend: each is a move, and the time that they take is the caller's. */
  async *reading(chunks: AsyncIterable<Uint8Array>, failed: (error: unknown) => void): AsyncGenerator<Uint8Array> {
    const source = chunks[Symbol.asyncIterator]();
    let ended = false;
    try {
      for (;;) {
        const { done, value } = await this.#waitingFor(source.next(), failed);
        ended = done === true;
        if (ended) return;
        yield value;
      }
    } finally {
      if (!ended) await source.return?.();
    }
  }

  [Symbol.dispose](): void {
    this.#pause();
    this.#options.signal.removeEventListener('abort', this.#follow);
  }

  async #waitingFor<T>(next: Promise<T>, failed: (error: unknown) => void): Promise<T> {
    this.#others += 1;
    this.#pause();
    try {
      return await next;
    } catch (error) {
      failed(error);
      throw error;
    } finally {
      this.#others -= 1;
      this.#begin();
    }
  }

  #begin(): void {
    this.#pause();
    const { clock, ms, stalled } = this.#options;
    if (this.#others === 0 && this.#fail !== undefined) this.#timer = clock.after(ms, () => this.#end(stalled()));
  }

  #pause(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  #end(reason: unknown): void {
    this.#pause();
    this.#abort.abort(reason);
    this.#fail?.(reason);
  }
}
