/** What can be seen of deletions from backends. */

import type { DoomedCounts } from '../../platform/tags/doomed.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';

export type DeletionMetrics = ReturnType<typeof deletionMetrics>;

export function deletionMetrics(metrics: Metrics) {
  const deleted = metrics.counter('gc_backend_deleted_total', 'Blobs that a backend was told to delete', ['backend']);
  const failures = metrics.counter('gc_backend_failures_total', 'Deletions that failed, by cause', [
    'backend',
    'cause',
  ]);
  const waiting = metrics.gauge('gc_backend_waiting', 'Blobs without a link that backends still keep for the grace');
  const due = metrics.gauge('gc_backend_due', 'Of these, those whose grace is over');
  const lost = metrics.counter(
    'gc_backend_lost_total',
    'Blobs that were linked while a deletion of them was late, and that no origin held then',
  );
  return {
    deleted: (backend: string): void => deleted.inc({ backend }),
    failed: (backend: string, cause: string): void => failures.inc({ backend, cause }),
    counted: (counts: DoomedCounts): void => {
      waiting.set(counts.doomed);
      due.set(counts.due);
    },
    lost: (): void => lost.inc(),
  };
}
