/** The agent, from its cache to its registry. Built top to bottom, closed bottom to top. */

import { inlineBytesMax } from '../core/contracts/fields.ts';
import { OriginFinder } from '../platform/clients/finder.ts';
import { IndexClient } from '../platform/clients/index-client.ts';
import { TrackerSession } from '../platform/clients/tracker.ts';
import { drainable } from '../platform/http/drainable.ts';
import { CLIENT_LIMITS } from '../platform/http/exchange.ts';
import { createHttp, listen } from '../platform/http/server.ts';
import { entryUrl } from '../platform/lifecycle/entry.ts';
import { type RoleContext, type Running, runRole } from '../platform/lifecycle/role.ts';
import { peerOptions } from '../platform/peer/config.ts';
import { PeerNode } from '../platform/peer/node.ts';
import { registerRegistry, registryWork } from '../platform/registry/routes.ts';
import { agentPromises } from '../platform/store/options.ts';
import { type BlobEntry, BlobStore } from '../platform/store/store.ts';
import type { Metrics } from '../platform/telemetry/metrics.ts';
import { Workers } from '../platform/workers/workers.ts';
import { addAdminRoutes, adminWork } from './admin.ts';
import { Audit } from './audit.ts';
import { type AgentConfig, agentSchema } from './config.ts';
import { KnownOrigins } from './known-origins.ts';
import { Pulls } from './pull.ts';
import { PullLog } from './pull-log.ts';
import { Registry } from './registry.ts';
import { statusOf } from './status.ts';

await runRole({ role: 'agent', schema: agentSchema, env: process.env, run });

async function run(context: RoleContext<AgentConfig>, stack: AsyncDisposableStack): Promise<Running> {
  const { config, log, metrics, drain } = context;
  const workers = stack.use(
    await Workers.start({
      entry: entryUrl('./workers/piece.ts', import.meta.url),
      count: config.workers,
      arenaBytes: config.memory.arena,
    }),
  );
  const store = stack.use(
    await BlobStore.open({
      dir: config.data,
      ...agentPromises,
      workers,
      budgetBytes: config.cache.budget,
      log,
    }),
  );
  const { tracking, finder } = await startTracking(context, stack);
  const node = stack.use(
    await PeerNode.listen({
      ...(await peerOptions(config.peer, [...config.trackers, ...finder.urls])),
      role: 'agent',
      cluster: config.cluster,
      zone: config.zone,
      store,
      arena: workers.arena,
      tracking,
      log,
      metrics,
    }),
  );
  // What the cache holds is offered again, but what every tracker has inline; what it holds in part waits
  // until somebody asks for it.
  for (const entry of store.entries()) if (entry.complete && entry.meta.length > inlineBytesMax) node.seed(entry);

  observe(metrics, store);

  const index = stack.use(new IndexClient({ urls: config.index }));
  const history = new PullLog(metrics);
  const pulls: Pulls = stack.use(
    new Pulls({
      store,
      arena: workers.arena,
      node,
      tracking,
      log,
      history,
      lingerMs: config.pull.linger,
      findMs: config.pull.find,
      nowMs: () => performance.now(),
      onComplete: (digest) => audit?.add(digest),
    }),
  );
  const condemn = (entry: BlobEntry): Promise<void> => pulls.condemn(entry);
  const mend = (entry: BlobEntry): Promise<void> => node.mend(entry);
  const audit = config.verify === 'full' ? stack.use(new Audit({ store, condemn, mend, log, metrics })) : undefined;
  // With the origins it can do without trackers.
  const readiness = async (): Promise<readonly string[]> =>
    tracking.stats.down < config.trackers.length || finder.urls.length > 0
      ? []
      : [`no tracker answers, and none has told of the origins: ${config.trackers.join(', ')}`];

  const adminApp = createHttp({ role: 'agent', log, metrics, readiness });
  drainable(adminApp, drain, { role: 'agent', workOf: adminWork });
  addAdminRoutes(adminApp, {
    pulls,
    index,
    entries: () => store.entries(),
    status: () => statusOf({ config, store, node, pulls, history }),
  });
  const admin = stack.use(await listen(adminApp, config.admin));

  const registryApp = createHttp({ role: 'agent', log, metrics, readiness });
  drainable(registryApp, drain, { role: 'agent', workOf: registryWork });
  const limits = { ...CLIENT_LIMITS, pauseMs: config.pull.pause };
  registerRegistry(registryApp, new Registry({ pulls, index, proxy: config.proxy }), limits);
  const registry = stack.use(await listen(registryApp, config.listen));
  // First of all: no peer is sent here any more while what runs is finished.
  stack.defer(() => tracking.leave());
  return { ports: { registry: registry.port, peer: node.port, admin: admin.port } };
}

/** The trackers, and the origins for where no tracker answers: configured, or as a tracker told, now or last time. */
async function startTracking(
  { config, log, metrics }: RoleContext<AgentConfig>,
  stack: AsyncDisposableStack,
): Promise<{ tracking: TrackerSession; finder: OriginFinder }> {
  const { data: dir, cluster, trackers } = config;
  const asked = metrics.counter('origin_lookups_total', 'Blobs asked of the origins, for no tracker answered', [
    'result',
  ]);
  const finder = stack.use(
    new OriginFinder({ nowMs: () => performance.now(), onFound: (result) => asked.inc({ result }) }),
  );
  const remembered = stack.use(new KnownOrigins({ dir, cluster, trackers, log }));
  finder.know(config.origins ?? (await remembered.read()) ?? []);
  const onOrigins = (urls: readonly string[]): void => {
    if (config.origins !== undefined) return;
    if (finder.know(urls)) log.info({ origins: urls }, 'a tracker told of the origins');
    remembered.write(urls);
  };
  const tracking = new TrackerSession({ trackers, log, finder, onOrigins });
  stack.defer(() => tracking.leave());
  return { tracking, finder };
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
