/** A tracker: knows which peers have or want which blob, and hands out neighbours. State: leases, in memory. */

import { randomInt } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { originsTellable, originsToldMax } from '../core/contracts/tracker.ts';
import { prng } from '../core/prng.ts';
import { openDoor } from '../platform/host/door.ts';
import { trustedOf } from '../platform/http/call.ts';
import { runRole } from '../platform/lifecycle/role.ts';
import { Membership } from '../platform/members/membership.ts';
import { addMembersRoute } from '../platform/members/route.ts';
import { realClock } from '../platform/net/clock.ts';
import { Episodes } from '../platform/telemetry/episodes.ts';
import { LookupAllowance } from './allowance.ts';
import { trackerRoutes } from './api.ts';
import { trackerSchema } from './config.ts';
import { Lookups } from './lookups.ts';
import { TrackerState } from './state.ts';
import { type OriginsTold, Telling } from './telling.ts';

await runRole({
  role: 'tracker',
  schema: trackerSchema,
  env: process.env,
  async run(context, stack) {
    const { config, log, metrics } = context;
    const membership = stack.use(new Membership(context));
    const origins = await membership.origins(config.origins);
    const state = stack.use(
      new TrackerState({
        prng: prng(randomInt(2 ** 32)),
        leaseMs: config.lease,
        intervalMs: config.interval,
        limits: config.limits,
      }),
    );
    const troubles = stack.use(new Episodes(log, realClock));
    const counted = metrics.counter('tracker_lookups_total', 'Blobs asked of the origins', ['result']);
    const allowance = new LookupAllowance(config.limits.client.lookups);
    const lookups = new Lookups({
      allowance,
      origins,
      memoryBytes: config.lookup.memory,
      clock: realClock,
      onLookup({ digest, repo }, found) {
        counted.inc({ result: found.kind });
        // The same trouble for every blob that is asked for: a line when it begins, one when it is over.
        if (found.kind === 'unavailable')
          troubles.came(found.why.replaceAll(digest, ''), { digest, repo, why: found.why }, 'lookup failed');
        if (found.kind === 'known') state.tell({ kind: 'located', digest, meta: found.meta, origins: found.origins });
      },
    });
    const telling = new Telling(origins);
    stack.use(origins.onChange(() => telling.changed()));
    if (!originsTellable(origins.urls))
      log.warn({ most: originsToldMax }, '`origins` cannot be told to the agents: set them in their configuration');
    metrics.observed(
      'tracker_lookups_refused',
      'Blobs that no origin was asked of: a client asked for too many that none has',
      () => allowance.refused,
    );
    const { leases, lease: leaseMs } = config;
    const onTrouble = (why: string): void =>
      troubles.came('shared', { why }, 'leases are not shared with other trackers');
    const sharing =
      leases &&
      stack.use(await (await import('./shared/start.ts')).shareLeases(leases, { state, leaseMs, metrics, onTrouble }));
    const api = {
      sharing,
      state,
      lookups,
      waitMs: config.lookup.wait,
      metrics,
      trusted: trustedOf(config.trustedProxies),
      notOwn: context.secure?.notOwn,
    };
    const onRefused = (client: string, limit: string): void =>
      troubles.came(`limit ${client}`, { client, limit }, 'a limit keeps leases of a client out');
    const told = (before: string | undefined): OriginsTold => telling.to(before);
    const routes = (app: FastifyInstance): void => {
      trackerRoutes(app, { ...api, origins: told, onRefused });
      addMembersRoute(app, membership);
    };
    return {
      ports: {
        api: await openDoor(context, { at: config.listen, warnings: () => membership.warnings(), routes }, stack),
      },
    };
  },
});
