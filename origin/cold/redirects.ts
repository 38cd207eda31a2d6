/**
 * Whether a reader is sent to the backend for a blob's bytes, and where to.
 *
 * Rule 1: only what the backend of the very repository that it is asked in confirms just then: so many bytes as the caller
 *         knows of, and the digest. An object of which the backend knows no digest may be anything: those bytes go through us,
 *         who compare them.
 * Rule 2: never a failure: whoever is not sent away reads from the origins. A backend that does not answer in time is left
 *         alone for a while.
 */

import type { BlobIn, Digest } from '../../core/digest.ts';
import { BackendError } from '../../platform/backends/backend.ts';
import type { Backed, Backends } from '../../platform/backends/backends.ts';
import type { Clock } from '../../platform/net/clock.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';

/** A reader waits for it before its first byte. */
export const redirectWaitMs = 1_000;
/** After it did not answer. */
export const redirectRestMs = 5_000;

export type RedirectsOptions = {
  readonly backends: Pick<Backends, 'of'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: LineLog;
  readonly metrics: Metrics;
};

export class Redirects {
  readonly #options: RedirectsOptions;
  readonly #count;
  /** By name: until when it is left alone. */
  readonly #resting = new Map<string, number>();

  constructor(options: RedirectsOptions) {
    this.#options = options;
    this.#count = options.metrics.counter('redirects_total', 'Readers and whether a backend gives them the bytes', [
      'backend',
      'outcome',
    ]);
  }

  /** A URL of the blob, which has `size` bytes; undefined: it is to be read from the origins. */
  async of({ digest, repo }: BlobIn, size: number, signal: AbortSignal): Promise<string | undefined> {
    // Whoever names no repository may mean one of another backend.
    const backed = repo === undefined ? undefined : this.#options.backends.of(repo);
    const presign = backed?.backend.presign;
    if (backed === undefined || presign === undefined || this.#rests(backed.name)) return undefined;
    const key = backed.blobKey(digest, repo);
    const late = AbortSignal.timeout(redirectWaitMs);
    const within = AbortSignal.any([late, signal]);
    try {
      const outcome = await confirmed(backed, { key, digest, size }, within);
      const url = outcome === 'given' ? await presign(key, within) : undefined;
      this.#count.inc({ backend: backed.name, outcome });
      return url;
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof BackendError) && !late.aborted) throw error;
      this.#failed(backed.name, key, late.aborted ? `no answer within ${redirectWaitMs / 1000} s` : String(error));
      return undefined;
    }
  }

  #rests(backend: string): boolean {
    return (this.#resting.get(backend) ?? Number.NEGATIVE_INFINITY) > this.#options.clock.nowMs();
  }

  #failed(backend: string, key: string, why: string): void {
    const { clock, log } = this.#options;
    this.#count.inc({ backend, outcome: 'failed' });
    this.#resting.set(backend, clock.nowMs() + redirectRestMs);
    log.warn(
      { backend, key, why, restMs: redirectRestMs },
      'no reader is sent to a backend for now: it did not confirm a blob',
    );
  }
}

type Asked = { readonly key: string; readonly digest: Digest; readonly size: number };

async function confirmed({ backend }: Backed, { key, digest, size }: Asked, signal: AbortSignal) {
  const object = await backend.stat(key, signal);
  if (object === undefined) return 'not there';
  if (object.digest === undefined) return 'no digest';
  return object.digest === digest && object.size === size ? 'given' : 'another';
}
