/** What goes by itself, in an origin's process: when it begins, its metrics, and what an operator asks (docs/gc.md). */

import type { FastifyInstance } from 'fastify';
import { ORIGIN_GC } from '../../core/contracts/gc/routes.ts';
import { serve } from '../../platform/http/serve.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';
import { Collector, type CollectorOptions } from './collector.ts';

/** It has begun; ends with the stack. */
export function startCollecting(
  metrics: Metrics,
  parts: Omit<CollectorOptions, 'random' | 'went'>,
  stack: AsyncDisposableStack,
): Collector {
  const blobs = metrics.counter('gc_removed_total', 'Blobs that nobody needed, and were removed');
  const bytes = metrics.counter('gc_removed_bytes_total', 'Bytes of these');
  const went: CollectorOptions['went'] = (what) => {
    blobs.inc(what.blobs);
    bytes.inc(what.bytes);
  };
  const collector = new Collector({ ...parts, random: Math.random, went });
  const sinceS = (): number => (performance.now() - (collector.doneAt ?? 0)) / 1_000;
  metrics.observed(
    'gc_last_seconds',
    'Since all that is here was looked through for what nobody needs, or the start',
    sinceS,
  );
  metrics.observed('gc_owed_blobs', 'Blobs that nobody needs, and a backend is still owed', () => collector.state.owed);
  stack.use(collector);
  collector.begin();
  return collector;
}

export function addCollectRoutes(app: FastifyInstance, collector: Collector): void {
  serve(app, ORIGIN_GC.state, () => collector.state);
  serve(app, ORIGIN_GC.begin, ({ body }) => collector.now(body.apply));
}
