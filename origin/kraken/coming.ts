/**
 * Blobs that somebody asked this origin for by Kraken's paths and that are not here: looked for in the cluster, and
 * pulled to here. Whoever asks comes again (202).
 *
 * Rule: at most `comingMax` at a time, each until it is here, or for as long as its pull goes on.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import type { CallContext } from '../../platform/clients/context.ts';
import type { Tracking } from '../../platform/clients/tracking.ts';
import type { PeerNode } from '../../platform/peer/node.ts';
import type { Logger } from '../../platform/telemetry/log.ts';

export const comingMax = 64;

export type ComingOptions = {
  readonly tracking: Pick<Tracking, 'locate'>;
  readonly node: Pick<PeerNode, 'pull'>;
  readonly log: Logger;
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
      await pull.complete;
    } catch (error) {
      log.warn(
        { digest: blob.digest, why: (error as Error).message },
        'a blob that was asked for could not be fetched',
      );
    } finally {
      this.#pulls.delete(blob.digest);
    }
  }
}
