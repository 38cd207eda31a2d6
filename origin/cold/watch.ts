/** What is told of cold reads: metrics, and one line of the log for each that ends. */

import type { Digest } from '../../core/digest.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';
import { causeOf } from './cause.ts';
import type { Download } from './download.ts';
import { mendIt } from './refusals.ts';

export class ColdWatch {
  readonly #log: LineLog;
  readonly #reads;
  readonly #failures;
  readonly #bytes;

  constructor(log: LineLog, metrics: Metrics) {
    this.#log = log;
    this.#reads = metrics.counter('cold_reads_total', 'Blobs fetched from a backend because nobody here had them', [
      'backend',
      'state',
    ]);
    this.#failures = metrics.counter('cold_read_failures_total', 'Fetches from a backend that failed', [
      'backend',
      'cause',
    ]);
    this.#bytes = metrics.counter('cold_read_bytes_total', 'Bytes of blobs that came from a backend', ['backend']);
  }

  begun({ backed }: Download): void {
    this.#reads.inc({ backend: backed.name, state: 'begun' });
  }

  came(backend: string, bytes: number): void {
    this.#bytes.inc({ backend }, bytes);
  }

  finished(download: Download, at: { readonly repo: string | undefined; readonly ms: number }): void {
    this.#reads.inc({ backend: download.backed.name, state: 'finished' });
    this.#log.info({ ...about(download), ...at }, 'blob fetched from its backend');
  }

  failed(download: Download, error: Error, at: { readonly repo: string | undefined; readonly ms: number }): void {
    const cause = causeOf(error);
    const { name } = download.backed;
    if (cause === 'stopped') return;
    this.#reads.inc({ backend: name, state: 'failed' });
    this.#failures.inc({ backend: name, cause });
    const line = { ...about(download), ...at, cause, why: error.message };
    if (cause === 'mismatch')
      this.#log.error({ ...line, remedy: mendIt }, 'what the backend has is not the blob: nothing of it is kept');
    else this.#log.warn(line, 'blob not fetched from its backend');
  }

  /** It could not be told whether the backend has it. */
  unanswered(backend: string, at: { readonly key: string; readonly digest: Digest; readonly error: Error }): void {
    const cause = causeOf(at.error);
    if (cause === 'stopped') return;
    this.#failures.inc({ backend, cause });
    const { key, digest, error } = at;
    this.#log.warn({ backend, key, digest, cause, why: error.message }, 'a backend does not say whether it has a blob');
  }
}

function about({ backed, digest, key, size, received, resumes }: Download): object {
  return { digest, backend: backed.name, key, bytes: size, received, resumes };
}
