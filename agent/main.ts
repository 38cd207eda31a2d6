/** The agent, from its cache to its registry. Built top to bottom, closed bottom to top. */

import type { FastifyInstance } from 'fastify';
import { inlineBytesMax } from '../core/contracts/fields.ts';
import { OriginFinder } from '../platform/clients/finder.ts';
import { IndexClient } from '../platform/clients/index-client.ts';
import { originMembers } from '../platform/clients/origin.ts';
import { openDoor } from '../platform/host/door.ts';
import { type Finding, startHost } from '../platform/host/host.ts';
import { CLIENT_LIMITS } from '../platform/http/exchange.ts';
import { type RoleContext, type Running, runRole } from '../platform/lifecycle/role.ts';
import { httpMembers } from '../platform/members/http.ts';
import { fixedList, ToldList } from '../platform/members/members.ts';
import { registerRegistry, registryWork } from '../platform/registry/routes.ts';
import { agentPromises } from '../platform/store/options.ts';
import type { BlobEntry, BlobStore } from '../platform/store/store.ts';
import type { Metrics } from '../platform/telemetry/metrics.ts';
import { addAdminRoutes, adminWork } from './admin.ts';
import { Audit } from './audit.ts';
import { type AgentConfig, agentSchema } from './config.ts';
import { KnownOrigins } from './known-origins.ts';
import { Pulls } from './pull.ts';
import { PullLog } from './pull-log.ts';
import { AgentRegistry } from './registry.ts';
import { statusOf } from './status.ts';

await runRole({ role: 'agent', schema: agentSchema, env: process.env, run });

async function run(context: RoleContext<AgentConfig>, stack: AsyncDisposableStack): Promise<Running> {
  const { config, log, metrics } = context;
  const history = new PullLog({
    log,
    metrics,
    nowMs: () => performance.now(),
    cacheBytes: () => store.usedBytes,
    onComplete: (digest) => audit?.add(digest),
  });
  const plan = {
    promises: agentPromises,
    budgetBytes: config.cache.budget,
    pulls: { pulls: history, lingerMs: config.pull.linger, learnMs: config.pull.find },
    finding: () => startFinding(context, stack),
  };
  const { arena, store, finder, tracking, node } = await startHost(context, plan, stack);
  // What the cache holds is offered again, but what every tracker has inline; what it holds in part waits
  // until somebody asks for it.
  for (const entry of store.entries()) if (entry.complete && entry.meta.length > inlineBytesMax) node.seed(entry);

  observe(metrics, store);

  const index = new IndexClient(stack.use(httpMembers(fixedList(config.index))));
  const pulls = new Pulls({ store, arena, node, tracking, log, history, nowMs: () => performance.now() });
  const condemn = (entry: BlobEntry): Promise<void> => pulls.condemn(entry);
  const mend = (entry: BlobEntry): Promise<void> => node.mend(entry);
  const audit = config.verify === 'full' ? stack.use(new Audit({ store, condemn, mend, log, metrics })) : undefined;
  // With the origins it can do without trackers.
  const readiness = async (): Promise<readonly string[]> =>
    tracking.stats.down < config.trackers.length || finder.urls.length > 0
      ? []
      : [`no tracker answers, and none has told of the origins: ${config.trackers.join(', ')}`];

  const admin = await openDoor(
    context,
    {
      at: config.admin,
      readiness,
      workOf: adminWork,
      routes: (app) =>
        addAdminRoutes(app, {
          pulls,
          index,
          entries: () => store.entries(),
          status: () => statusOf({ config, store, node, pulls, history }),
        }),
    },
    stack,
  );
  const served = new AgentRegistry({ pulls, index, proxy: config.proxy });
  const limits = { ...CLIENT_LIMITS, pauseMs: config.pull.pause };
  const routes = (app: FastifyInstance): void => registerRegistry(app, served, limits);
  const registry = await openDoor(context, { at: config.listen, readiness, workOf: registryWork, routes }, stack);
  // First of all: no peer is sent here any more while what runs is finished.
  stack.defer(() => tracking.leave());
  return { ports: { registry, peer: node.port, admin } };
}

/** The origins, for where no tracker answers: configured, or as a tracker told, now or last time. */
async function startFinding(
  { config, log, metrics }: RoleContext<AgentConfig>,
  stack: AsyncDisposableStack,
): Promise<Finding> {
  const { data: dir, cluster, trackers } = config;
  const asked = metrics.counter('origin_lookups_total', 'Blobs asked of the origins, for no tracker answered', [
    'result',
  ]);
  const remembered = stack.use(new KnownOrigins({ dir, cluster, trackers, log }));
  const list = new ToldList(config.origins ?? (await remembered.read()) ?? []);
  const origins = stack.use(originMembers(list));
  const finder = new OriginFinder({
    origins,
    nowMs: () => performance.now(),
    onFound: (result) => asked.inc({ result }),
  });
  const onOrigins = (urls: readonly string[]): void => {
    if (config.origins !== undefined) return;
    if (list.tell(urls)) log.info({ origins: urls }, 'a tracker told of the origins');
    remembered.write(urls);
  };
  return { finder, onOrigins };
}

function observe(metrics: Metrics, store: BlobStore): void {
  metrics.observed('cache_bytes', 'Bytes on disk of cached blobs, partial ones included', () => store.usedBytes);
  metrics.observed(
    'cache_passing_bytes',
    'Bytes on disk of the windows of blobs that the cache has no room for',
    () => store.passing.bytes,
  );
  metrics.observed('cache_blobs', 'Cached blobs, partial ones included', () => store.count);
}
