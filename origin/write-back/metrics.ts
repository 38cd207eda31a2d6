/** What of write-backs can be watched and alerted on. */

import type { Queue } from '../../platform/queue/queue.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';

/** How often the queue is counted. */
const countMs = 5_000;

export type WriteBackCounts = ReturnType<typeof writeBackCounts>;

export function writeBackCounts(metrics: Metrics) {
  return {
    done: metrics.counter('write_backs_total', 'Blobs that a backend has confirmed', ['backend', 'how']),
    bytes: metrics.counter('write_back_bytes_total', 'Bytes sent to a backend', ['backend']),
    failures: metrics.counter('write_back_failures_total', 'Write-backs that failed once', ['backend', 'cause']),
  } as const;
}

/** Counts the queue now and then, until it is disposed of. */
export function observeQueue(metrics: Metrics, queue: Pick<Queue, 'stats'>, log: Pick<LineLog, 'warn'>): Disposable {
  const waiting = metrics.gauge('write_back_waiting', 'Blobs that a backend has not confirmed yet', ['backend']);
  const bytes = metrics.gauge('write_back_waiting_bytes', 'Bytes of these', ['backend']);
  const oldest = metrics.gauge('write_back_oldest_seconds', 'Age of the oldest of these', ['backend']);
  const dead = metrics.gauge('write_back_dead', 'Write-backs that wait for a person', ['backend']);
  const failing = metrics.gauge('write_back_failing', 'Write-backs by the cause of their last failure', [
    ...(['backend', 'cause'] as const),
  ]);
  let told = true;
  // A backend that has got all is 0 from then on: a series that ends looks like an origin that is gone.
  const seen = new Set<string>();
  const count = async (): Promise<void> => {
    try {
      const lanes = await queue.stats();
      for (const gauge of [waiting, bytes, oldest, dead, failing]) gauge.reset();
      for (const { lane } of lanes) seen.add(lane);
      for (const backend of seen) for (const gauge of [waiting, bytes, oldest, dead]) gauge.set({ backend }, 0);
      for (const { lane: backend, ...of } of lanes) {
        waiting.set({ backend }, of.waiting);
        bytes.set({ backend }, of.bytes);
        oldest.set({ backend }, of.oldestMs === undefined ? 0 : Math.max(0, (Date.now() - of.oldestMs) / 1000));
        dead.set({ backend }, of.dead);
        for (const [cause, rows] of Object.entries(of.causes)) failing.set({ backend, cause }, rows);
      }
      told = true;
    } catch (error) {
      if (told) log.warn({ err: error }, 'write-backs could not be counted');
      told = false;
    }
  };
  void count();
  const timer = setInterval(() => void count(), countMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
