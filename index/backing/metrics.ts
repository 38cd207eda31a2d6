/** What can be seen of an index's backends. The names are those of an origin's write-back: one alert watches both. */

import type { OutboxState } from '../../platform/tags/outbox.ts';
import type { OutboxKind } from '../../platform/tags/targets.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';

export type BackingMetrics = ReturnType<typeof backingMetrics>;

export function backingMetrics(metrics: Metrics, backends: readonly string[]) {
  const of = ['backend'] as const;
  const done = metrics.counter('write_backs_total', 'What a backend has confirmed, by kind', ['backend', 'how']);
  const failures = metrics.counter('write_back_failures_total', 'Write-backs that failed once', ['backend', 'cause']);
  const waiting = metrics.gauge('write_back_waiting', 'Tags, manifests and links that a backend has not got yet', of);
  const oldest = metrics.gauge('write_back_oldest_seconds', 'Age of the oldest of these', of);
  const failing = metrics.gauge('write_back_failing', 'Write-backs by the cause of their last failure', [
    'backend',
    'cause',
  ]);
  const asked = metrics.counter('index_backend_reads_total', 'Reads that went through to a backend', [
    'backend',
    'outcome',
  ]);
  return {
    asked: (backend: string, outcome: string): void => asked.inc({ backend, outcome }),
    written: (backend: string, kind: OutboxKind): void => done.inc({ backend, how: kind }),
    /** A later write of somebody else was there. */
    gaveWay: (backend: string): void => done.inc({ backend, how: 'gave way' }),
    failed: (backend: string, cause: string): void => failures.inc({ backend, cause }),
    waiting(states: readonly OutboxState[], nowMs: number): void {
      failing.reset();
      for (const backend of backends) {
        const mine = states.filter((state) => state.target === backend);
        const sinceMs = Math.min(nowMs, ...mine.map((state) => state.sinceMs));
        waiting.set(
          { backend },
          mine.reduce((sum, { rows }) => sum + rows, 0),
        );
        oldest.set({ backend }, (nowMs - sinceMs) / 1000);
        for (const { cause, rows } of mine) if (cause !== null) failing.set({ backend, cause }, rows);
      }
    },
  };
}
