/**
 * What lacks of pinned images is fetched: at the start, and when a tag is written anew.
 *
 * Rule 1: one blob at a time, in the order of the pins; what fails is tried again at the next look.
 * Rule 2: nothing is fetched while the pins do not fit in the budget: others would have to go for what cannot stay.
 */

import type { Digest } from '../../../core/digest.ts';
import type { LineLog } from '../../telemetry/log.ts';
import type { Sized } from './closure.ts';

/** Rejects where it cannot be had, or be kept. */
export type FetchPinned = (
  blob: { readonly digest: Digest; readonly repo: string },
  signal: AbortSignal,
) => Promise<void>;

export type PinnedImage = { readonly pin: string; readonly repo: string; readonly blobs: readonly Sized[] };

export type PinFetchingOptions = {
  readonly bring: FetchPinned;
  readonly here: (digest: Digest) => boolean;
  /** The pins fit. */
  readonly fits: () => boolean;
  readonly log: LineLog;
  readonly signal: AbortSignal;
};

export class PinFetching {
  readonly #o: PinFetchingOptions;
  #running: Promise<void> | undefined;
  /** Why each could not be fetched last: said once. */
  readonly #said = new Map<string, string>();

  constructor(o: PinFetchingOptions) {
    this.#o = o;
  }

  /** Begins, unless it is at it. */
  begin(images: readonly PinnedImage[]): void {
    this.#running ??= this.#run(images).finally(() => {
      this.#running = undefined;
    });
  }

  async ended(): Promise<void> {
    await this.#running;
  }

  async #run(images: readonly PinnedImage[]): Promise<void> {
    const { here, fits, signal } = this.#o;
    for (const { pin, repo, blobs } of images) {
      for (const { digest } of blobs) {
        if (signal.aborted || !fits()) return;
        if (!here(digest)) await this.#fetch(pin, { digest, repo });
      }
    }
  }

  async #fetch(pin: string, blob: { readonly digest: Digest; readonly repo: string }): Promise<void> {
    const { bring, log, signal } = this.#o;
    try {
      await bring(blob, signal);
      this.#said.delete(pin);
    } catch (error) {
      const why = (error as Error).message;
      if (signal.aborted || this.#said.get(pin) === why) return;
      this.#said.set(pin, why);
      log.warn({ pin, digest: blob.digest, why }, 'what lacks of a pin cannot be fetched now');
    }
  }
}
