/** Whether something links to a blob, asked for one at a time: what is asked meanwhile goes along in the next question. */

import type { Digest } from '../../core/digest.ts';
import type { AskLinked } from './links.ts';

export class LinkAsks {
  readonly #ask: AskLinked;
  readonly #signal: AbortSignal;
  #next: { readonly digests: Set<Digest>; readonly answer: Promise<ReadonlySet<Digest>> } | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(ask: AskLinked, signal: AbortSignal) {
    this.#ask = ask;
    this.#signal = signal;
  }

  /** Rejects with ApiError where the index does not say. */
  async linked(digest: Digest): Promise<boolean> {
    this.#next ??= this.#begin();
    this.#next.digests.add(digest);
    return (await this.#next.answer).has(digest);
  }

  #begin(): { readonly digests: Set<Digest>; readonly answer: Promise<ReadonlySet<Digest>> } {
    const digests = new Set<Digest>();
    const answer = this.#last.then(() => {
      this.#next = undefined;
      return this.#ask([...digests], this.#signal);
    });
    this.#last = answer.catch(() => undefined);
    return { digests, answer };
  }
}
