/** A whole tracker in this process, without a port of its own: its routes, state and lookups, by a clock that is moved by hand. */

import { expect } from 'vitest';
import { type AnnounceEntry, type AnnounceReply, TRACKER } from '../../core/contracts/tracker.ts';
import type { Digest } from '../../core/digest.ts';
import type { testPeer } from '../../core/handout/fixtures.ts';
import { type HandoutLimits, handoutLimits } from '../../core/handout/limits.ts';
import { prng } from '../../core/prng.ts';
import { originMembers } from '../../platform/clients/origin.ts';
import { trustedOf } from '../../platform/http/call.ts';
import { createHttp } from '../../platform/http/server.ts';
import { fixedList } from '../../platform/members/list.ts';
import { silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import { LookupAllowance, lookupsAtOnce } from '../allowance.ts';
import { trackerRoutes } from '../api.ts';
import { Lookups } from '../lookups.ts';
import { TrackerState } from '../state.ts';
import { Telling } from '../telling.ts';

/** Ends with the stack. */
export async function startTracker(
  stack: AsyncDisposableStack,
  origins: readonly { url: string }[],
  options: {
    waitMs?: number;
    sharedMs?: number;
    memoryBytes?: number;
    limits?: HandoutLimits;
    refusedMs?: number;
  } = {},
) {
  const metrics = new Metrics();
  const clients = stack.use(originMembers(fixedList(origins.map(({ url }) => url))));
  const state = stack.use(
    new TrackerState({ prng: prng(1), leaseMs: 30_000, intervalMs: 10_000, limits: options.limits ?? handoutLimits }),
  );
  let nowMs = 0;
  const allowance = new LookupAllowance(lookupsAtOnce);
  const lookups = new Lookups({
    allowance,
    origins: clients,
    memoryBytes: options.memoryBytes ?? 1e6,
    clock: { nowMs: () => nowMs },
    onLookup: ({ digest }, found) => {
      if (found.kind === 'known') state.tell({ kind: 'located', digest, meta: found.meta, origins: found.origins });
    },
  });
  const telling = new Telling(clients);
  const app = createHttp({ role: 'tracker', log: silentLog(), metrics, readiness: async () => [] });
  trackerRoutes(app, {
    state,
    lookups,
    origins: (before) => telling.to(before),
    waitMs: options.waitMs ?? 2000,
    sharedMs: options.sharedMs,
    refusedMs: options.refusedMs ?? 0,
    metrics,
    trusted: trustedOf(['127.0.0.1']),
  });
  stack.defer(() => app.close());
  return {
    app,
    state,
    allowance,
    metrics,
    pass: (ms: number) => {
      nowMs += ms;
    },
    /** `client`: as a load balancer that is trusted says. */
    async announce(
      self: ReturnType<typeof testPeer>,
      entries: readonly AnnounceEntry[],
      client = '10.0.0.1',
      toldAs?: string,
    ): Promise<AnnounceReply> {
      const url = TRACKER.announce.path({});
      const headers = { 'x-forwarded-for': client };
      const response = await app.inject({ method: 'POST', url, headers, payload: { self, entries, toldAs } });
      expect(response.statusCode).toBe(200);
      return response.json<AnnounceReply>();
    },
    locate: (digest: string) => app.inject({ url: TRACKER.locate.path({ digest: digest as Digest }) }),
  };
}
