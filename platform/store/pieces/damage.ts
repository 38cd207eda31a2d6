/**
 * What is said of blobs whose stored bytes turned out wrong: a line when it begins, one when it is over.
 *
 * Rule: the number of lines does not depend on the number of pieces: a file of zeros has thousands that are wrong.
 */

import type { StoreLog } from '../recover.ts';
import type { BlobEntry } from './entry.ts';

type Case = { readonly sinceMs: number; times: number };

export class Damage {
  readonly #log: StoreLog;
  readonly #nowMs: () => number;
  /** Whether there was ever a case. */
  any = false;
  readonly #cases = new WeakMap<BlobEntry, Case>();

  constructor(log: StoreLog, nowMs: () => number) {
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** `piece` undefined: the whole file is in doubt. */
  found(entry: BlobEntry, piece: number | undefined, why: string): void {
    const known = this.#cases.get(entry);
    if (known !== undefined) {
      known.times += 1;
      return;
    }
    this.any = true;
    this.#cases.set(entry, { sinceMs: this.#nowMs(), times: 1 });
    const { digest, pieces } = entry;
    this.#log.warn(
      { digest, piece, pieces, why },
      'a stored blob is damaged: what is wrong has to be fetched or pushed',
    );
  }

  /** The blob is whole again. */
  mended(entry: BlobEntry, by: 'push' | 'pieces'): void {
    const known = this.#cases.get(entry);
    if (known === undefined) return;
    this.#cases.delete(entry);
    const forMs = Math.round(this.#nowMs() - known.sinceMs);
    this.#log.info({ digest: entry.digest, by, damaged: known.times, forMs }, 'a damaged blob is whole again');
  }
}
