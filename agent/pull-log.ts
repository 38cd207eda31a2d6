/**
 * What is told of this agent's pulls: lines of the log, the latest ones for `status` and the demo's table, and their
 * sums for metrics. The node that runs them tells it.
 */

import { type FinishedPull, finishedPullsMax } from '../core/contracts/agent.ts';
import type { Digest } from '../core/digest.ts';
import type { PartEnd } from '../platform/peer/pulls/life.ts';
import type { Pull, PullWatcher } from '../platform/peer/pulls/pull.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import type { Metrics } from '../platform/telemetry/metrics.ts';

export type PullLogOptions = {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
  /** Bytes in the cache. */
  readonly cacheBytes: () => number;
  /** Told of every blob that came whole. */
  readonly onComplete?: (digest: Digest) => void;
};

export class PullLog implements PullWatcher {
  readonly #options: PullLogOptions;
  readonly #finished: FinishedPull[] = [];
  /** Pulls that finished since the start, of which `list` has the latest. */
  total = 0;
  readonly #count;
  readonly #seconds;
  readonly #bytes;
  readonly #notKept;
  readonly #passed;

  constructor(options: PullLogOptions) {
    const { metrics } = options;
    this.#options = options;
    this.#count = metrics.counter('pulls_total', 'Pulls that completed');
    this.#seconds = metrics.histogram('pull_duration_seconds', 'Duration of completed pulls, seconds');
    this.#bytes = metrics.counter('pull_bytes_total', 'Bytes of completed pulls by who sent them', ['from']);
    this.#notKept = metrics.counter('pulls_not_kept_total', 'Pulls of blobs that the cache had no room for');
    this.#passed = metrics.counter(
      'passed_bytes_total',
      'Bytes given to clients of blobs that the cache had no room for',
    );
  }

  passes({ digest, entry }: Pull): void {
    this.#notKept.inc();
    this.#options.log.warn(
      { digest, bytes: entry?.meta.length, cacheBytes: this.#options.cacheBytes() },
      'not kept: cache full. The blob is streamed through; what is in use and this one do not fit in cache.budget, or on its disk',
    );
  }

  ended(pull: Pull, end: PartEnd, error: Error | undefined): void {
    const { log, nowMs, onComplete } = this.#options;
    const { digest, entry, stats } = pull;
    const ms = nowMs() - stats.startedMs;
    if (error === undefined) {
      log.info(this.#add(pull, ms, true), 'pull complete');
      return onComplete?.(digest);
    }
    // The last client of a blob that was not kept has gone.
    if (entry?.window !== undefined)
      log.info(
        this.#add(pull, (stats.lastByteMs ?? nowMs()) - stats.startedMs, false),
        'pull ended, not kept: cache full',
      );
    else if (end === 'unwanted') log.info({ digest }, 'pull stopped: no client wants it any more');
    if (end !== 'unwanted') log.info({ digest, ms, why: error.message }, 'pull ended');
  }

  /** A client got so many bytes of one. */
  passed(bytes: number): void {
    this.#passed.inc(bytes);
  }

  #add({ digest, entry, stats }: Pull, ms: number, kept: boolean): Omit<FinishedPull, 'firstByteMs' | 'kept'> {
    const { bytesFromPeers, bytesFromOrigins, firstByteMs, startedMs } = stats;
    const end = { digest, bytes: entry?.meta.length ?? 0, bytesFromPeers, bytesFromOrigins, ms };
    this.total++;
    this.#finished.push({ ...end, firstByteMs: firstByteMs === undefined ? ms : firstByteMs - startedMs, kept });
    if (this.#finished.length > finishedPullsMax) this.#finished.shift();
    if (!kept) return end;
    this.#count.inc();
    this.#seconds.observe(ms / 1000);
    this.#bytes.inc({ from: 'peers' }, bytesFromPeers);
    this.#bytes.inc({ from: 'origins' }, bytesFromOrigins);
    return end;
  }

  /** Oldest first. */
  list(): readonly FinishedPull[] {
    return this.#finished;
  }
}
