/** The latest finished pulls, for `status` and the demo's table, and their sums for metrics. */

import type { Digest } from '../core/digest.ts';
import type { Metrics } from '../platform/telemetry/metrics.ts';

export const finishedPullsMax = 256;

export type FinishedPull = {
  readonly digest: Digest;
  readonly bytes: number;
  readonly bytesFromPeers: number;
  readonly bytesFromOrigins: number;
  /** From the first request to the last verified piece. */
  readonly ms: number;
  /** From the first request until the first client got its first bytes. */
  readonly firstByteMs: number;
};

export class PullLog {
  readonly #finished: FinishedPull[] = [];
  /** Pulls that finished since the start, of which `list` has the latest. */
  total = 0;
  readonly #count;
  readonly #seconds;
  readonly #bytes;

  constructor(metrics: Metrics) {
    this.#count = metrics.counter('pulls_total', 'Pulls that completed');
    this.#seconds = metrics.histogram('pull_duration_seconds', 'Duration of completed pulls, seconds');
    this.#bytes = metrics.counter('pull_bytes_total', 'Bytes of completed pulls by who sent them', ['from']);
  }

  add(pull: FinishedPull): void {
    this.total++;
    this.#finished.push(pull);
    if (this.#finished.length > finishedPullsMax) this.#finished.shift();
    this.#count.inc();
    this.#seconds.observe(pull.ms / 1000);
    this.#bytes.inc({ from: 'peers' }, pull.bytesFromPeers);
    this.#bytes.inc({ from: 'origins' }, pull.bytesFromOrigins);
  }

  /** Oldest first. */
  list(): readonly FinishedPull[] {
    return this.#finished;
  }
}
