/**
 * `verify: full`: a blob that came whole is read back and compared with its own digest, whoever said that
 * its pieces are right. In the background, one at a time, on the workers.
 *
 * Rule 1: a blob that is not its digest's though its pieces match the list is removed, counted and logged, once.
 * Rule 2: pieces that have decayed on the disk are fetched again, and the blob is looked at again once it is whole.
 * Rule 3: what cannot be read now is left as it is, since every piece is verified again when it is read.
 */

import type { ApiError } from '../core/contracts/errors.ts';
import type { Digest } from '../core/digest.ts';
import type { BlobEntry } from '../platform/store/pieces/entry.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import type { Metrics } from '../platform/telemetry/metrics.ts';

type AuditOptions = {
  readonly store: {
    get(digest: Digest): BlobEntry | undefined;
    problemOf(entry: BlobEntry, signal: AbortSignal): Promise<ApiError | undefined>;
  };
  /** Takes the blob out of cache and swarm, and cuts its readers. */
  readonly condemn: (entry: BlobEntry, why: ApiError) => Promise<void>;
  /** Has the swarm bring the pieces that the entry does not hold any more. Resolves, or rejects, when that has ended. */
  readonly mend: (entry: BlobEntry) => Promise<void>;
  readonly log: Logger;
  readonly metrics: Metrics;
};

export class Audit {
  readonly #options: AuditOptions;
  /** At most as many as the store has blobs. */
  readonly #waiting = new Set<Digest>();
  readonly #ending = new AbortController();
  readonly #count: (result: 'right' | 'wrong' | 'decayed' | 'unread') => void;
  #running: Promise<void> | undefined;

  constructor(options: AuditOptions) {
    this.#options = options;
    const counter = options.metrics.counter(
      'audited_blobs_total',
      'Blobs compared with their own digest after they came, by what was found',
      ['result'],
    );
    this.#count = (result) => counter.inc({ result });
  }

  /** The blob is complete: it is looked at soon. */
  add(digest: Digest): void {
    if (this.#ending.signal.aborted) return;
    this.#waiting.add(digest);
    this.#running ??= this.#run();
  }

  /** Resolves once nothing is left to look at. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Gives up what is not finished. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    this.#waiting.clear();
    await this.idle();
  }

  async #run(): Promise<void> {
    // Those who wait for the last piece come first.
    await new Promise((resolve) => setImmediate(resolve));
    for (const digest of this.#waiting) {
      this.#waiting.delete(digest);
      const entry = this.#options.store.get(digest);
      if (entry?.complete) await this.#look(entry);
    }
    this.#running = undefined;
  }

  async #look(entry: BlobEntry): Promise<void> {
    const { store, condemn, log } = this.#options;
    const { digest } = entry;
    const unpin = entry.pin();
    try {
      const problem = await store.problemOf(entry, this.#ending.signal);
      if (this.#ending.signal.aborted) return;
      if (problem === undefined) return this.#count('right');
      if (!entry.complete && !entry.gone) {
        this.#count('decayed');
        log.warn({ digest, why: problem.message }, 'pieces of a blob have decayed: they are fetched again');
        // Nothing waits for this, and a pull that ends badly says why itself.
        void this.#options.mend(entry).then(
          () => this.add(digest),
          () => undefined,
        );
        return;
      }
      if (problem.code !== 'DIGEST_INVALID') {
        this.#count('unread');
        log.warn({ digest, why: problem.message }, 'a blob could not be read back: its pieces are verified when read');
        return;
      }
      this.#count('wrong');
      log.error({ digest, why: problem.message }, 'a blob is not what its digest says: it is removed');
      await condemn(entry, problem);
    } catch (error) {
      // Removed meanwhile, or the disk refuses: there is nothing to judge.
      this.#count('unread');
      log.warn({ digest, why: String(error) }, 'a blob could not be read back');
    } finally {
      unpin();
    }
  }
}
