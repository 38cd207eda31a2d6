/**
 * Until when an answer to each seek is waited for, before the blob counts as alone: no tracker tells of it.
 *
 * Rule: all wait equally long, so that those who have waited longest come first.
 */

import type { Digest } from '../digest.ts';

export class Patience {
  readonly #forMs: number;
  /** When each ends, the next one first. */
  readonly #untilMs = new Map<Digest, number>();

  constructor(forMs: number) {
    this.#forMs = forMs;
  }

  get deadlineMs(): number {
    for (const untilMs of this.#untilMs.values()) return untilMs;
    return Number.POSITIVE_INFINITY;
  }

  /** From now on; one that is waited for already ends when it would have. */
  begin(digest: Digest, nowMs: number): void {
    if (!this.#untilMs.has(digest)) this.#untilMs.set(digest, nowMs + this.#forMs);
  }

  /** It is not waited for any more. False: it was not. */
  end(digest: Digest): boolean {
    return this.#untilMs.delete(digest);
  }

  /** Those whose time has come; they are not waited for any more. */
  take(nowMs: number): Digest[] {
    const over: Digest[] = [];
    for (const [digest, untilMs] of this.#untilMs) {
      if (untilMs > nowMs) break;
      over.push(digest);
      this.#untilMs.delete(digest);
    }
    return over;
  }

  clear(): void {
    this.#untilMs.clear();
  }
}
