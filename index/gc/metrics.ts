/** What can be seen of deletions from backends, and by retention rules. */

import type { GcRetention } from '../../core/contracts/gc/routes.ts';
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

/** Rules by the first of their patterns. */
export function retentionMetrics(metrics: Metrics) {
  const went = metrics.counter('gc_retention_manifests_total', 'Manifests without a tag that went by a rule', ['rule']);
  const help = 'Manifests without a tag that nothing needs, and that are not old enough, or could not go';
  const waiting = metrics.gauge('gc_retention_waiting', help, ['rule']);
  const nameOf = ({ repositories }: { readonly repositories: readonly string[] }): string => repositories[0] ?? '';
  return {
    went: (rule: { readonly repositories: readonly string[] }, manifests: number): void =>
      went.inc({ rule: nameOf(rule) }, manifests),
    counted: (walk: readonly GcRetention[]): void => {
      for (const rule of walk) waiting.set({ rule: nameOf(rule) }, rule.waiting + rule.due);
    },
  };
}
