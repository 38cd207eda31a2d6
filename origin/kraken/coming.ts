/**
 * Blobs that somebody asked this origin for by Kraken's paths and that are not here: looked for in the cluster, and
 * pulled to here. Whoever asks comes again (202).
 *
 * Rule: at most `comingMax` at a time, each until it is here, or nothing of it came for `vainMs`: what a backend has wrong, or
 *       is larger than this disk, never comes, and would keep the place of what does. Who asks again is told how it is.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import type { CallContext } from '../../platform/clients/context.ts';
import type { Tracking } from '../../platform/clients/tracking.ts';
import type { Clock } from '../../platform/net/clock.ts';
import type { Pull } from '../../platform/peer/pulls/pull.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';

export const comingMax = 64;
/** Longer than a backend's outage takes to pass, or a cold read waits for its turn, as a rule. */
export const vainMs = 300_000;

/** What this file needs of a Pull. */
type ComingPull = Pick<Pull, 'use'> & {
  readonly complete: Promise<unknown>;
  readonly entry: { readonly heldCount: number } | undefined;
};

export type ComingOptions = {
  readonly tracking: Pick<Tracking, 'locate'>;
  readonly node: { pull(digest: Digest, from: { readonly repo: string | undefined }): ComingPull };
  readonly log: Pick<LineLog, 'warn'>;
  readonly clock: Pick<Clock, 'after'>;
};

export class Coming {
  readonly #options: ComingOptions;
  readonly #pulls = new Map<Digest, Promise<void>>();

  constructor(options: ComingOptions) {
    this.#options = options;
  }

  /** Its length, bytes; undefined: nobody has it. Pulls nothing. */
  async sizeOf(blob: BlobIn, call: CallContext): Promise<number | undefined> {
    const found = await this.#options.tracking.locate(blob, call);
    if (found === undefined) return undefined;
    return 'meta' in found ? found.meta.length : found.growth.length;
  }

  /** From now on it is on its way here. BLOB_UNKNOWN where nobody has it, UNAVAILABLE at the limit. */
  async begin(blob: BlobIn, call: CallContext): Promise<void> {
    const { digest } = blob;
    if (this.#pulls.has(digest)) return;
    if ((await this.sizeOf(blob, call)) === undefined) {
      throw new ApiError('BLOB_UNKNOWN', `no origin of this cluster holds ${digest}, nor does what lies behind them`);
    }
    if (this.#pulls.has(digest)) return;
    if (this.#pulls.size >= comingMax) {
      throw new ApiError('UNAVAILABLE', `${comingMax} blobs are being fetched to this origin: try again later`);
    }
    this.#pulls.set(digest, this.#pull(blob));
  }

  async #pull(blob: BlobIn): Promise<void> {
    const { node, log } = this.#options;
    try {
      const pull = node.pull(blob.digest, { repo: blob.repo });
      using _ = pull.use();
      await this.#end(pull);
    } catch (error) {
      log.warn(
        { digest: blob.digest, why: (error as Error).message },
        'a blob that was asked for could not be fetched',
      );
    } finally {
      this.#pulls.delete(blob.digest);
    }
  }

  /** Rejects once nothing has come for `vainMs`. */
  async #end(pull: ComingPull): Promise<void> {
    const vain = Promise.withResolvers<never>();
    let timer: Disposable | undefined;
    const watch = (before: number): void => {
      timer = this.#options.clock.after(vainMs, () => {
        const held = pull.entry?.heldCount ?? 0;
        if (held > before) watch(held);
        else vain.reject(new Error(`nothing of it came for ${vainMs / 1000} s`));
      });
    };
    watch(pull.entry?.heldCount ?? 0);
    try {
      await Promise.race([pull.complete, vain.promise]);
    } finally {
      timer?.[Symbol.dispose]();
    }
  }
}
