/** An index's backends at work; only where its configuration names any is this loaded. */

import { randomInt } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { ReconcileReply, ReconcileStep } from '../../core/contracts/reconcile.ts';
import { prng } from '../../core/prng.ts';
import type { Backends } from '../../platform/backends/backends.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { Logger } from '../../platform/telemetry/log.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';
import { Importer } from './import.ts';
import { OutboxLane } from './lane/lane.ts';
import { backingMetrics } from './metrics.ts';
import { addOutboxRoutes } from './queue.ts';
import { Reconciler } from './reconcile.ts';
import { BackedStore } from './store.ts';
import { ReadThrough } from './through.ts';

export type BackingParts = {
  readonly store: TagStore;
  readonly backends: Backends;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
};

export type Backing = {
  readonly answering: BackedStore;
  /** Of its queues. */
  readonly addRoutes: (app: FastifyInstance) => void;
  readonly reconcile: (step: ReconcileStep, signal: AbortSignal) => Promise<ReconcileReply>;
};

const seedMax = 2 ** 32;

/** Lanes end with the stack. */
export async function openBacking(parts: BackingParts, stack: AsyncDisposableStack): Promise<Backing> {
  const { store, backends, log, nowMs } = parts;
  const metrics = backingMetrics(
    parts.metrics,
    backends.keepingTags.map(({ name }) => name),
  );
  await store.reroute();
  for (let repo = await store.backfill(); repo !== undefined; repo = await store.backfill())
    log.info({ repo, backend: backends.of(repo)?.name }, 'what the repository holds is queued for its backend');
  for (const { backend, rows } of await store.outbox())
    if (backends.named(backend) === undefined)
      log.warn(
        { backend, rows },
        `tags wait for backend ${backend}, which the configuration does not name any more: name it again, or they stay here`,
      );
  const lanes = new Map<string, OutboxLane>();
  const random = prng(randomInt(seedMax));
  for (const backed of backends.keepingTags)
    lanes.set(backed.name, stack.use(new OutboxLane({ store, backed, log, metrics, nowMs, random })));
  const through = new ReadThrough({ store, nowMs, tickMs: () => performance.now(), metrics });
  const reconciler = new Reconciler({ store, backends, nowMs });
  const importer = new Importer({ store, backends, nowMs });
  return {
    answering: new BackedStore({ store, backends, through, lanes }),
    reconcile: (step, signal) => {
      const { import: imported } = step;
      return imported === undefined
        ? reconciler.step(step, signal)
        : importer.step({ ...step, import: imported }, signal);
    },
    addRoutes: (app) =>
      addOutboxRoutes(app, {
        store,
        wake: () => {
          for (const lane of lanes.values()) lane.wake();
        },
        why: (row) => lanes.get(row.backend)?.why(row),
      }),
  };
}
