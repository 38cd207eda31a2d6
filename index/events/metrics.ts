/** What can be seen of events that are told. */

import type { OutboxState } from '../../platform/tags/outbox.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';

export type EventsMetrics = ReturnType<typeof eventsMetrics>;

export function eventsMetrics(metrics: Metrics) {
  const of = ['endpoint'] as const;
  const told = metrics.counter('events_told_total', 'Events that a receiver has taken', ['endpoint', 'action']);
  const failed = metrics.counter('events_failed_total', 'Attempts to tell an event that failed', ['endpoint', 'cause']);
  const waiting = metrics.gauge('events_waiting', 'Events that are not told yet', of);
  const dead = metrics.gauge('events_dead', 'Events that were refused, and wait for a person', of);
  const oldest = metrics.gauge('events_oldest_seconds', 'Age of the oldest event that is not told yet', of);
  return {
    told: (endpoint: string, action: string): void => told.inc({ endpoint, action }),
    failed: (endpoint: string, cause: string): void => failed.inc({ endpoint, cause }),
    waiting(endpoint: string, states: readonly OutboxState[], nowMs: number): void {
      const rows = (some: readonly OutboxState[]): number => some.reduce((sum, state) => sum + state.rows, 0);
      const alive = states.filter((state) => !state.dead);
      waiting.set({ endpoint }, rows(alive));
      dead.set({ endpoint }, rows(states) - rows(alive));
      oldest.set({ endpoint }, (nowMs - Math.min(nowMs, ...alive.map(({ sinceMs }) => sinceMs))) / 1000);
    },
  };
}
