/** What can be seen of what goes to other clusters. */

import type { OutboxState } from '../../platform/tags/outbox.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';

export type RemoteMetrics = ReturnType<ReturnType<typeof replicationMetrics>>;

export function replicationMetrics(metrics: Metrics) {
  const of = ['remote'] as const;
  const lag = metrics.gauge('replication_lag_seconds', 'Age of the oldest write that a remote has not got yet', of);
  const waiting = metrics.gauge('replication_waiting', 'Writes that a remote has not got yet', of);
  const dead = metrics.gauge('replication_dead', 'Writes that are not tried again by themselves', of);
  const up = metrics.gauge('replication_up', '1: a remote takes writes; 0: it is left alone for a while', of);
  const causes = ['remote', 'cause'] as const;
  const failing = metrics.gauge('replication_failing', 'Writes by the cause of their last failure', causes);
  const failures = metrics.counter('replication_failures_total', 'Attempts that failed', causes);
  const done = metrics.counter('replications_total', 'Writes that are done, by what came of them', ['remote', 'how']);
  const blobs = metrics.counter('replication_blobs_total', 'Blobs that a write needed there', ['remote', 'how']);
  const bytes = metrics.counter('replication_bytes_total', 'Bytes of blobs sent', of);
  return (remote: string) => {
    up.set({ remote }, 1);
    let told = new Set<string>();
    return {
      bytes: (sent: number): void => bytes.inc({ remote }, sent),
      blob: (how: 'there' | 'sent'): void => blobs.inc({ remote, how }),
      done: (how: string): void => done.inc({ remote, how }),
      failed: (cause: string): void => failures.inc({ remote, cause }),
      up: (is: boolean): void => up.set({ remote }, is ? 1 : 0),
      /** Of this remote's rows. */
      waiting(states: readonly OutboxState[], nowMs: number): void {
        const live = states.filter((state) => !state.dead);
        const sum = (all: readonly OutboxState[]): number => all.reduce((rows, state) => rows + state.rows, 0);
        waiting.set({ remote }, sum(live));
        dead.set({ remote }, sum(states.filter((state) => state.dead)));
        lag.set({ remote }, (nowMs - Math.min(nowMs, ...live.map(({ sinceMs }) => sinceMs))) / 1000);
        const now = live.flatMap(({ cause, rows }) => (cause === null ? [] : [{ cause, rows }]));
        for (const cause of told) failing.remove({ remote, cause });
        for (const { cause, rows } of now) failing.set({ remote, cause }, rows);
        told = new Set(now.map(({ cause }) => cause));
      },
    };
  };
}
