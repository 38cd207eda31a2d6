/**
 * Whether this process was held up: stopped, or without a processor. Whoever asked it for a write has heard nothing for as
 * long, and has perhaps made it, and later ones, through another index by now.
 *
 * Rule: what was asked before is not begun any more, nor committed: it would undo what came after it. Callers go elsewhere
 *   after two seconds (platform/clients/pulse.ts), so less than that counts.
 */

import { ApiError } from '../../core/contracts/errors.ts';

/** Of the clock that only runs on, which goes on while a process is stopped. */
const beatMs = 200;
const hangMs = 1_000;

export function heldUpError(): ApiError {
  return new ApiError('UNAVAILABLE', 'this index was held up, and nobody may wait for it any more: try again');
}

export class Hangs implements Disposable {
  readonly #timer = setInterval(() => this.#look(), beatMs).unref();
  #beatAt = performance.now();
  #endedAt = Number.NEGATIVE_INFINITY;

  /** Whether it was since then. */
  since(at: number): boolean {
    // The timer may not have come yet.
    this.#look();
    return this.#endedAt >= at;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    if (now - this.#beatAt > hangMs) this.#endedAt = now;
    this.#beatAt = now;
  }
}
