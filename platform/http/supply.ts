/**
 * A source that can be handed back and taken up again at a later byte, so that a client that does not take
 * anything holds nothing of it: no slot, no window, no connection.
 */

import type { SourceChunk } from './content.ts';

/** The bytes from `from` on, counted from the answer's first. */
export type OpenSource = (from: number) => AsyncIterable<SourceChunk>;

type Next = Promise<IteratorResult<SourceChunk, unknown>>;

export class Supply {
  readonly #open: OpenSource;
  #iterator: AsyncIterator<SourceChunk> | undefined;
  #ahead: Next | undefined;

  constructor(open: OpenSource) {
    this.#open = open;
  }

  /** The chunk that begins at byte `at`, which follows the last one; undefined at the end. */
  async next(at: number): Promise<SourceChunk | undefined> {
    this.#iterator ??= this.#open(at)[Symbol.asyncIterator]();
    const due = this.#ahead ?? this.#iterator.next();
    this.#ahead = undefined;
    const next = await due;
    return next.done === true ? undefined : next.value;
  }

  /** Begins to fetch the next chunk. */
  prefetch(): void {
    if (this.#iterator === undefined || this.#ahead !== undefined) return;
    this.#ahead = this.#iterator.next();
    // Met again by `next`; where that is never called, nobody misses it.
    this.#ahead.catch(() => undefined);
  }

  /** Gives back all that is open. `next` opens it again. Resolves once it is closed, which may take as long as a chunk. */
  async handBack(): Promise<void> {
    const iterator = this.#iterator;
    const ahead = this.#ahead;
    this.#iterator = undefined;
    this.#ahead = undefined;
    const dropped = await ahead?.catch(() => undefined);
    if (dropped !== undefined && dropped.done !== true) dropped.value.release();
    await iterator?.return?.().catch(() => undefined);
  }
}
