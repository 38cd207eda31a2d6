/**
 * What backends said of blobs, for a moment: that they have one, that they have it not, that it is not what it should be,
 * that they do not answer.
 *
 * Rule 1: by backend and place (a blob's, in all repositories or in one): what one tenant's lacks says nothing of another's.
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

/** `place`: as platform/backends/backends.ts calls it. */
export type AskedBackend = { readonly backend: string; readonly digest: Digest; readonly place: string };

const keptMs: Readonly<Record<Said['kind'], number>> = {
  stored: storedMs,
  missing: missingMs,
  failed: failedMs,
  damaged: damagedMs,
};

export class Remembered {
  readonly #clock: Pick<Clock, 'nowMs'>;
  /** Of each digest by its place. */
  readonly #said = new Map<Digest, Map<string, { readonly said: Said; readonly untilMs: number }>>();
  #size = 0;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#size;
  }

  get(at: AskedBackend): Said | undefined {
    const found = this.#said.get(at.digest)?.get(nameOf(at));
    return found !== undefined && found.untilMs > this.#clock.nowMs() ? found.said : undefined;
  }

  set(at: AskedBackend, said: Said): void {
    const { digest } = at;
    const places = this.#said.get(digest) ?? new Map();
    const before = places.size;
    places.set(nameOf(at), { said, untilMs: this.#clock.nowMs() + keptMs[said.kind] });
    this.#size += places.size - before;
    this.#said.delete(digest);
    this.#said.set(digest, places);
    for (const oldest of this.#said.keys()) {
      if (this.#size <= rememberedMax) return;
      this.forget(oldest);
    }
  }

  /** Of all backends. */
  forget(digest: Digest): void {
    this.#size -= this.#said.get(digest)?.size ?? 0;
    this.#said.delete(digest);
  }
}

function nameOf({ backend, place }: AskedBackend): string {
  return `${backend} ${place}`;
}
