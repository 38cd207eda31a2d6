/** Receivers of an index's events at work; loaded only where the configuration names any. */

import { randomInt } from 'node:crypto';
import { hostname } from 'node:os';
import { prng } from '../../core/prng.ts';
import { WebRequester } from '../../platform/backends/web/requester.ts';
import type { Env } from '../../platform/config/yaml.ts';
import { realClock } from '../../platform/net/clock.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { Logger } from '../../platform/telemetry/log.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';
import { neverSay } from '../../platform/telemetry/unsaid.ts';
import type { TargetLane } from '../outbox/queue.ts';
import { atStart } from '../patience.ts';
import type { EventsConfig } from './config.ts';
import { EventLane } from './lane.ts';
import { eventsMetrics } from './metrics.ts';
import { eventTarget } from './targets.ts';

export type EventsParts = {
  readonly events: EventsConfig;
  /** Where the index listens. */
  readonly port: number;
  readonly store: TagStore;
  /** By the name of the target, of all that are there: those of the receivers are added. */
  readonly lanes: Map<string, TargetLane>;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly env: Env;
  readonly nowMs: () => number;
};

const seedMax = 2 ** 32;

/** Lanes end with the stack. */
export async function openEvents(parts: EventsParts, stack: AsyncDisposableStack): Promise<void> {
  const { events, store, lanes, env, port } = parts;
  const { index: database } = await atStart(() => store.unlinked([]));
  const origin = { database, address: `${hostname()}:${port}`, registry: events.registry };
  const metrics = eventsMetrics(parts.metrics);
  const random = prng(randomInt(seedMax));
  for (const endpoint of events.endpoints) {
    const { name, url, timeout: stallMs } = endpoint;
    neverSay(...pathOf(url));
    const target = eventTarget(name);
    const web = stack.use(new WebRequester({ name, stallMs, env, clock: realClock }));
    const lane = stack.use(new EventLane({ ...parts, endpoint, target, web, origin, metrics, random }));
    lanes.set(target, lane);
  }
}

/** Whoever knows the path of such a URL may call it, as often as not: nothing else proves who calls. */
function pathOf(url: string): string[] {
  const { pathname, search, searchParams } = new URL(url);
  return [pathname + search, pathname, search.slice(1), ...searchParams.values()];
}
