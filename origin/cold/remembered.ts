/**
 * What backends said of blobs, for a moment: that they have one, that they have it not, that it is not what it should be,
 * that they do not answer.
 *
 * Rule 1: by backend and digest: what one tenant's backend lacks says nothing of another's.
 * Rule 2: bounded in number, the oldest goes first; nothing depends on what is remembered.
 */

import type { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import type { BackendObject } from '../../platform/backends/backend.ts';
import type { Clock } from '../../platform/net/clock.ts';

/** A herd of thousands asks for one blob within a second or so. */
export const storedMs = 2_000;
/**
 * Of a blob that is not there: as long as a herd's questions come at once, and not longer, for another cluster, or a
 * registry, may write it to the same bucket at any time, and who pulls it then should not be told no.
 */
export const missingMs = 1_000;
/** A backend that does not answer is not asked by everybody; its own wrappers back off as well. */
export const failedMs = 1_000;
/**
 * Wrong bytes stay wrong until somebody writes the right ones: a herd that asks all the time downloads them once a minute,
 * and a repair is found within one. A push here ends it at once.
 */
export const damagedMs = 60_000;
/** About 300 bytes each. */
export const rememberedMax = 10_000;

export type Said =
  | { readonly kind: 'stored'; readonly object: BackendObject }
  /** What is answered to whoever asks meanwhile. */
  | { readonly kind: 'missing' | 'failed' | 'damaged'; readonly error: ApiError };

const keptMs: Readonly<Record<Said['kind'], number>> = {
  stored: storedMs,
  missing: missingMs,
  failed: failedMs,
  damaged: damagedMs,
};

export class Remembered {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #said = new Map<string, { readonly said: Said; readonly untilMs: number }>();

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#said.size;
  }

  get(backend: string, digest: Digest): Said | undefined {
    const found = this.#said.get(keyOf(backend, digest));
    return found !== undefined && found.untilMs > this.#clock.nowMs() ? found.said : undefined;
  }

  set(backend: string, digest: Digest, said: Said): void {
    const key = keyOf(backend, digest);
    this.#said.delete(key);
    this.#said.set(key, { said, untilMs: this.#clock.nowMs() + keptMs[said.kind] });
    for (const oldest of this.#said.keys()) {
      if (this.#said.size <= rememberedMax) return;
      this.#said.delete(oldest);
    }
  }

  forget(backend: string, digest: Digest): void {
    this.#said.delete(keyOf(backend, digest));
  }
}

function keyOf(backend: string, digest: Digest): string {
  return `${digest} ${backend}`;
}
