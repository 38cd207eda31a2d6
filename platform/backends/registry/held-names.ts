/**
 * Lists of names that were just read, for the pages that follow.
 *
 * Rule: all who want one share its reading, which ends early only when all of them have left: nobody's leaving is another's
 *       failure.
 */

import { unlessLeft } from './auth/login.ts';
import { listedMax, listedMs } from './limits.ts';

type Held = {
  readonly names: Promise<readonly string[]>;
  readonly atMs: number;
  readonly stop: AbortController;
  waiting: number;
};

export class HeldNames {
  readonly #nowMs: () => number;
  readonly #held = new Map<string, Held>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  async get(
    of: string,
    read: (signal: AbortSignal) => Promise<readonly string[]>,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const known = this.#held.get(of);
    const held = known !== undefined && this.#nowMs() - known.atMs < listedMs ? known : this.#begin(of, read);
    held.waiting += 1;
    try {
      return await unlessLeft(held.names, signal);
    } finally {
      held.waiting -= 1;
      if (held.waiting === 0 && signal.aborted) this.#end(of, held, signal.reason);
    }
  }

  #begin(of: string, read: (signal: AbortSignal) => Promise<readonly string[]>): Held {
    const stop = new AbortController();
    const held: Held = { names: read(stop.signal), atMs: this.#nowMs(), stop, waiting: 0 };
    this.#held.delete(of);
    this.#held.set(of, held);
    held.names.catch((error: unknown) => this.#end(of, held, error));
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= listedMax) break;
      this.#held.delete(oldest);
    }
    return held;
  }

  /** Ends its reading, where that still goes on. */
  #end(of: string, held: Held, reason: unknown): void {
    if (this.#held.get(of) === held) this.#held.delete(of);
    held.stop.abort(reason);
  }
}
