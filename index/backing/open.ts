/** An index's backends at work; only where its configuration names any is this loaded. */

import { randomInt } from 'node:crypto';
import type { ReconcileReply, ReconcileStep } from '../../core/contracts/reconcile.ts';
import { prng } from '../../core/prng.ts';
import type { Backends } from '../../platform/backends/backends.ts';
import type { DoomedStore } from '../../platform/tags/doomed.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { Logger } from '../../platform/telemetry/log.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';
import type { TargetLane } from '../outbox/queue.ts';
import { Importer } from './import.ts';
import { OutboxLane } from './lane/lane.ts';
import { backingMetrics } from './metrics.ts';
import { Reconciler } from './reconcile.ts';
import { BackedStore } from './store.ts';
import { ReadThrough } from './through.ts';

export type BackingParts = {
  readonly store: TagStore;
  readonly backends: Backends;
  /** Undefined: the engine does not know what was linked. */
  readonly doomed: DoomedStore | undefined;
  /** By the name of the target, of all that are there: those of the backends are added. */
  readonly lanes: Map<string, TargetLane>;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly nowMs: () => number;
};

export type Backing = {
  readonly answering: BackedStore;
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
  const lanes = new Map<string, OutboxLane>();
  const random = prng(randomInt(seedMax));
  for (const backed of backends.keepingTags)
    lanes.set(backed.name, stack.use(new OutboxLane({ store, backed, log, metrics, nowMs, random })));
  for (const [name, lane] of lanes) parts.lanes.set(name, lane);
  const through = new ReadThrough({ store, nowMs, tickMs: () => performance.now(), metrics });
  const reconciler = new Reconciler({ store, backends, nowMs });
  const importer = new Importer({ store, backends, nowMs });
  return {
    answering: new BackedStore({ store, backends, through, lanes }),
    reconcile: async (step, signal) => {
      const { import: imported } = step;
      if (imported === undefined) return await reconciler.step(step, signal);
      // What others have put there is theirs, whatever its rule comes to say.
      if (step.apply) await parts.doomed?.broughtFrom(imported.backend);
      return await importer.step({ ...step, import: imported }, signal);
    },
  };
}
