/** The latest finished pulls, for `status` and the demo's table, and their sums for metrics. */

import { type FinishedPull, finishedPullsMax } from '../core/contracts/agent.ts';
import type { Metrics } from '../platform/telemetry/metrics.ts';

export class PullLog {
  readonly #finished: FinishedPull[] = [];
  /** Pulls that finished since the start, of which `list` has the latest. */
  total = 0;
  readonly #count;
  readonly #seconds;
  readonly #bytes;
  readonly #notKept;
  readonly #passed;

  constructor(metrics: Metrics) {
    this.#count = metrics.counter('pulls_total', 'Pulls that completed');
    this.#seconds = metrics.histogram('pull_duration_seconds', 'Duration of completed pulls, seconds');
    this.#bytes = metrics.counter('pull_bytes_total', 'Bytes of completed pulls by who sent them', ['from']);
    this.#notKept = metrics.counter('pulls_not_kept_total', 'Pulls of blobs that the cache had no room for');
    this.#passed = metrics.counter(
      'passed_bytes_total',
      'Bytes given to clients of blobs that the cache had no room for',
    );
  }

  /** A pull of a blob that there is no room for begins. */
  passes(): void {
    this.#notKept.inc();
  }

  /** A client got so many bytes of one. */
  passed(bytes: number): void {
    this.#passed.inc(bytes);
  }

  add(pull: FinishedPull): void {
    this.total++;
    this.#finished.push(pull);
    if (this.#finished.length > finishedPullsMax) this.#finished.shift();
    if (!pull.kept) return;
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
