/** The agent, from its cache to its registry. Built top to bottom, closed bottom to top. */

import type { FastifyInstance } from 'fastify';
import { inlineBytesMax } from '../core/contracts/fields.ts';
import type { Digest } from '../core/digest.ts';
import { accessOdd } from '../platform/access/config.ts';
import { Blocks } from '../platform/blocks/blocks.ts';
import type { HttpClient } from '../platform/clients/http.ts';
import { IndexClient } from '../platform/clients/index-client.ts';
import { roomOf } from '../platform/config/eviction.ts';
import { type HttpDoor, openDoor } from '../platform/host/door.ts';
import { startHost } from '../platform/host/host.ts';
import { addKrakenHostRoutes } from '../platform/host/kraken.ts';
import { addPinsRoutes } from '../platform/host/pins/open.ts';
import { PinSet } from '../platform/host/pins/pins.ts';
import { beginScrub } from '../platform/host/scrub/scrub.ts';
import { addVolumeRoutes, observeVolumes } from '../platform/host/volumes.ts';
import { CLIENT_LIMITS } from '../platform/http/exchange.ts';
import { type RoleContext, type Running, runRole } from '../platform/lifecycle/role.ts';
import type { Members } from '../platform/members/members.ts';
import { Membership } from '../platform/members/membership.ts';
import { addMembersRoute } from '../platform/members/route.ts';
import { realClock } from '../platform/net/clock.ts';
import type { PeerNode } from '../platform/peer/node.ts';
import { nobodyIsAsked } from '../platform/registry/gate.ts';
import type { RegistryHandler } from '../platform/registry/reply.ts';
import { registerRegistry, registryWork } from '../platform/registry/routes.ts';
import { keysChecked, policiesAt } from '../platform/signatures/config.ts';
import { agentPromises } from '../platform/store/options.ts';
import type { StoredBlob } from '../platform/store/room/stored-blob.ts';
import type { BlobEntry, BlobStore } from '../platform/store/store.ts';
import type { Metrics } from '../platform/telemetry/metrics.ts';
import type { Arena } from '../platform/workers/arena.ts';
import type { AgentAccess } from './access/open.ts';
import { addAdminRoutes, adminWork } from './admin.ts';
import { Audit } from './audit.ts';
import { type AgentConfig, agentSchema } from './config.ts';
import { startFinding } from './known-origins.ts';
import { pinInCache } from './pins.ts';
import { PullLog, Pulls } from './pull.ts';
import { AgentRegistry, type RegistryOptions } from './registry.ts';
import { beginSharing } from './sharing/sharing.ts';
import { statusOf } from './status.ts';

await runRole({ role: 'agent', schema: agentSchema, env: process.env, checked: keysChecked, odd: accessOdd, run });

async function run(context: RoleContext<AgentConfig>, stack: AsyncDisposableStack): Promise<Running> {
  const { config, log, metrics } = context;
  const history = new PullLog({
    log,
    metrics,
    clock: realClock,
    cacheBytes: () => store.usedBytes,
    ...(config.verify.content === 'full' && { onComplete: (digest: Digest) => audit?.add(digest) }),
  });
  const membership = stack.use(new Membership(context, { rarely: true, dir: config.data }));
  const indexes = await membership.others('index', config.index);
  const blocked = new Blocks(context, indexes);
  const plan = {
    ...{ membership, blocked },
    promises: agentPromises,
    ...roomOf({ ...config.cache, ...config.storage }),
    pinned: new PinSet(config.cache.pins),
    shares: config.storage.share !== undefined,
    pulls: { pulls: history, lingerMs: config.pull.linger, learnMs: config.pull.find },
    finding: () => startFinding(context, membership, stack),
  };
  const { arena, store, found, trackers, tracking, node } = await startHost(context, plan, stack);
  seedAll(store, node);
  const sharing = beginSharing(context, { store, node, arena }, stack);
  const warnings = (): string[] =>
    [store.volumes.warnings(), sharing, pins, blocked, access, membership.warnings()].flatMap((one) =>
      one === undefined || Array.isArray(one) ? (one ?? []) : one.problems(),
    );

  observe(metrics, store);

  const index = new IndexClient(indexes);
  const access = await accessOf(context, { indexes, index }, stack);
  const pulls = new Pulls({
    store,
    arena,
    node,
    tracking,
    log,
    history,
    strict: config.pull.strict,
    blocked,
    ...(sharing && { shared: (digest) => sharing.asked(digest) }),
    clock: realClock,
  });
  const pins = pinInCache(context, { set: plan.pinned, store, index, pulls, node }, stack);
  const audit = lookingAfter(context, { store, arena, pulls, node }, stack);
  // With the origins it can do without trackers.
  const readiness = async (): Promise<readonly string[]> =>
    tracking.stats.down < trackers.urls.length || found.finder.urls.length > 0
      ? []
      : [`no tracker answers, and none has told of the origins: ${config.trackers.join(', ')}`];
  const told = { readiness, warnings };
  const admin = await openDoor(
    context,
    {
      at: config.admin,
      listener: 'admin',
      ...told,
      workOf: adminWork,
      routes: (app) => {
        addHostRoutes(app, context, { store, membership, pins, node });
        addAdminRoutes(app, {
          pulls,
          index,
          blobs: () => store.blobs(),
          get: (digest) => store.get(digest),
          status: () => statusOf({ config, store, node, pulls, history }),
          open: access === undefined || context.secure !== undefined,
          preload: () => ({ ...config.preload, registry: config.preload.registry ?? `127.0.0.1:${registry}` }),
        });
      },
    },
    stack,
  );
  const registry = await openRegistry(context, { pulls, index, access, ...told }, stack);
  // First of all: no peer is sent here any more while what runs is finished.
  stack.defer(() => tracking.leave());
  return { ports: { registry, peer: node.port, admin } };
}

type RegistryParts = Pick<HttpDoor, 'readiness' | 'warnings'> &
  Pick<RegistryOptions, 'pulls'> & { readonly index: IndexClient; readonly access: AgentAccess | undefined };

/** The port that runtimes pull from. */
async function openRegistry(
  context: RoleContext<AgentConfig>,
  { pulls, index, access, ...door }: RegistryParts,
  stack: AsyncDisposableStack,
): Promise<number> {
  const { config } = context;
  const served = await registryOf(context, { pulls, index, links: access?.links });
  const limits = { ...CLIENT_LIMITS, pauseMs: config.pull.pause };
  const routes = (app: FastifyInstance): void => registerRegistry(app, served, limits, access?.gate);
  const users = { at: config.listen, port: 'registry', inside: false, ...door, workOf: registryWork, routes } as const;
  return openDoor(context, users, stack);
}

/** What runtimes pull from: of repositories that have a policy only what is signed. */
async function registryOf(
  { config, log, metrics }: RoleContext<AgentConfig>,
  { pulls, index, links }: Pick<RegistryOptions, 'pulls' | 'links'> & { readonly index: IndexClient },
): Promise<RegistryHandler> {
  const served = new AgentRegistry({ pulls, index, links, proxy: config.proxy });
  const policies = policiesAt(config.verify.cosign, 'pull');
  if (policies.length === 0) return served;
  const { SignedRegistry } = await import('./signed.ts');
  return new SignedRegistry({ served, policies, pulls, index, log, metrics, clock: realClock });
}

/** What is in the cache is read back, by its digest as well where that is wanted. */
function lookingAfter(
  context: RoleContext<AgentConfig>,
  { store, arena, pulls, node }: { store: BlobStore; arena: Arena; pulls: Pulls; node: PeerNode },
  stack: AsyncDisposableStack,
): Audit | undefined {
  const { config, log, metrics } = context;
  const condemn = (entry: BlobEntry): Promise<void> => pulls.condemn(entry);
  const mend = (entry: BlobEntry): Promise<void> => node.mend(entry);
  const audit =
    config.verify.content === 'full' ? stack.use(new Audit({ store, condemn, mend, log, metrics })) : undefined;
  const decayed = (entry: BlobEntry): void => void mend(entry).catch(() => undefined);
  beginScrub(context, { store, arena, wrong: condemn, decayed }, stack);
  return audit;
}

/** Nothing of it is loaded where nobody is asked who he is. */
async function accessOf(
  context: RoleContext<AgentConfig>,
  { indexes, index }: { readonly indexes: Members<HttpClient>; readonly index: IndexClient },
  stack: AsyncDisposableStack,
): Promise<AgentAccess | undefined> {
  const { access } = context.config;
  if (access === undefined) {
    context.log.info(nobodyIsAsked);
    return undefined;
  }
  const [{ openAgentAccess }, { DocumentClient }] = await Promise.all([
    import('./access/open.ts'),
    import('../platform/clients/documents.ts'),
  ]);
  return await openAgentAccess(context, access, { documents: new DocumentClient(indexes), index, stack });
}

type HostParts = {
  readonly store: BlobStore;
  readonly membership: Membership;
  readonly pins: Parameters<typeof addPinsRoutes>[1];
  readonly node: PeerNode;
};

/** What an origin answers as well. */
function addHostRoutes(app: FastifyInstance, { config, log }: RoleContext<AgentConfig>, parts: HostParts): void {
  addVolumeRoutes(app, parts);
  addMembersRoute(app, parts.membership);
  addPinsRoutes(app, parts.pins);
  addKrakenHostRoutes(app, parts.node, { limits: config.peer.limits, log });
}

/** What the cache holds is offered again, but what every tracker has inline; what it holds in part waits until somebody asks for it. */
function seedAll(store: BlobStore, node: Pick<PeerNode, 'seed'>): void {
  const seed = (blob: Pick<StoredBlob, 'complete' | 'digest' | 'meta'> | undefined): void => {
    if (blob?.complete === true && blob.meta.length > inlineBytesMax) node.seed(blob);
  };
  for (const blob of store.blobs()) seed(blob);
  store.watch({ returned: (digest) => seed(store.get(digest)) });
}

function observe(metrics: Metrics, store: BlobStore): void {
  observeVolumes(metrics, { store });
  metrics.observed('cache_bytes', 'Bytes on disk of cached blobs, partial ones included', () => store.usedBytes);
  metrics.observed(
    'cache_passing_bytes',
    'Bytes on disk of the windows of blobs that the cache has no room for',
    () => store.passing.bytes,
  );
  metrics.observed('cache_blobs', 'Cached blobs, partial ones included', () => store.count);
}
