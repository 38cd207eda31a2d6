/** The origin, from its disk to its API. Built top to bottom, closed bottom to top. */

import type { FastifyInstance } from 'fastify';
import type { Digest } from '../core/digest.ts';
import type { Backends } from '../platform/backends/backends.ts';
import { openBackends, proveBackends } from '../platform/backends/open.ts';
import { Blocks } from '../platform/blocks/blocks.ts';
import { OriginFinder } from '../platform/clients/finder.ts';
import { IndexClient } from '../platform/clients/index-client.ts';
import { roomOf } from '../platform/config/eviction.ts';
import { openDoor } from '../platform/host/door.ts';
import { startHost } from '../platform/host/host.ts';
import { PinSet } from '../platform/host/pins/pins.ts';
import { beginScrub } from '../platform/host/scrub/scrub.ts';
import { observeVolumes } from '../platform/host/volumes.ts';
import { type RoleContext, type Running, runRole } from '../platform/lifecycle/role.ts';
import { Membership } from '../platform/members/membership.ts';
import { realClock } from '../platform/net/clock.ts';
import type { PeerNode } from '../platform/peer/node.ts';
import type { Queue } from '../platform/queue/queue.ts';
import { originPromises } from '../platform/store/options.ts';
import type { AskUnneeded } from '../platform/store/room/let-go.ts';
import type { BlobStore } from '../platform/store/store.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import type { Metrics } from '../platform/telemetry/metrics.ts';
import { OriginBlobs } from './blobs.ts';
import type { ColdParts, OpenedCold } from './cold/open.ts';
import { startCollecting } from './collect/start.ts';
import { Condemned, type CondemnedOptions } from './condemned.ts';
import { type OriginConfig, originSchema } from './config.ts';
import type { Draining } from './draining/draining.ts';
import { type StartDrainingParts, startDraining } from './draining/start.ts';
import { Handover } from './handover.ts';
import { joinOrigins } from './identity.ts';
import { KnownIndex } from './known-index.ts';
import { Mending } from './mending.ts';
import { pinOnDisk } from './pins.ts';
import { linkedBy } from './repair/links.ts';
import type { Repairing } from './repair/open.ts';
import { type FetchingBy, RepairPace } from './repair/pace.ts';
import { type StartRepairParts, startRepair } from './repair/start.ts';
import { Replicas, type ReplicasOptions } from './replicas.ts';
import type { StartRestoringParts } from './restoring/start.ts';
import { addOriginRoutes, workOfRequest } from './routes.ts';
import { askUnneeded } from './unneeded.ts';
import { Uploads } from './uploads.ts';
import { noteQueue, openQueue, openWriteBack, restAtEnd } from './write-back/open.ts';
import { owedBy } from './write-back/owed.ts';

/** How often idle uploads are looked for. */
const sweepMs = 60_000;

await runRole({ role: 'origin', schema: originSchema, env: process.env, run, prove: proveBackends });

async function run(context: RoleContext<OriginConfig>, stack: AsyncDisposableStack): Promise<Running> {
  const { config, log, metrics, drain } = context;
  const live = (): number => 1 + found.origins.all.filter(({ pulse }) => pulse.well).length;
  const backends = await openBackends(context, live, stack);
  const membership = stack.use(new Membership(context, { dir: config.data }));
  const { index, blocked } = await indexOf(context, membership);
  const known = new KnownIndex(config.data);
  let queue: Queue | undefined;
  let cold: OpenedCold | undefined;
  let healing: Healing | undefined;
  const asked = { owed: () => queue, copies: () => cold?.copies, spares: () => healing?.repairing };
  const mayGo =
    index || backends ? askUnneeded({ index: index && askIndex({ index, known, log }), ...asked }) : undefined;
  const plan = {
    promises: originPromises,
    ...roomOf(config.disk),
    pinned: new PinSet(config.disk.pins),
    askUnneeded: mayGo,
    ...{ membership, blocked },
    finding: async () => {
      if (backends !== undefined) queue = await openQueue(context, stack);
      else noteQueue(context);
      // What this one lacks it finds at the others, tracker or not.
      const joined = await joinOrigins(context, membership, stack);
      return { ...joined, finder: new OriginFinder({ origins: joined.origins, clock: realClock }) };
    },
  };
  const { arena, store, found, tracking, node } = await startHost(context, plan, stack);
  const { origins, self } = found;
  const among = { origins, self: self.id };
  const leaving = (): boolean => self.draining === true;

  const fetching = fetchingBy(config, index, known);
  const mending = stack.use(new Mending({ store, node, log, ...fetching }));
  const early = earlyRanges(config, metrics);
  const blobs = new OriginBlobs({ store, arena, node, mending, log, early, leaving, blocked });
  const replicas = replicasBy({ own: config.replicas, index, store, log }, () => handover, stack);
  const owned = { ...among, replicas: (digest: Digest): number => replicas.of(digest) };
  const pins = pinOnDisk(context, { set: plan.pinned, store, blobs, index, ...owned }, stack);
  const handover = stack.use(
    new Handover({
      ...owned,
      peer: node.self,
      find: (digest) => store.get(digest),
      mend: ({ digest, meta }) => mending.want(digest, meta),
      ask: async (id, digest, request, ctx) => (await origins.byId(id)?.fetch(digest, request, ctx)) ?? false,
      owed: owedBy(queue),
      tracking,
      log,
    }),
  );
  forgetGone(store, { handover, mending, node });
  const reading = { ...owned, node, store, blobs, index, log, metrics };
  cold = await coldOf(backends, { ...reading, onFetched: (entry) => handover.offer(entry) }, stack);
  mending.begin();
  beginScrub(context, { store, arena, ...mending.scrubbing }, stack);

  const uploads = openUploads(context, { store, leaving }, stack);
  const writeBack =
    backends && queue && (await openWriteBack(context, { ...among, backends, queue, store, blobs, index }, stack));
  observe(metrics, { store, uploads, handover, mending });
  const beside = { ...owned, node, store, tracking, handover, mending, ...fetching, queue, writeBack };
  healing = await heal(context, { ...beside, uploads, leaving, backends, cold, index, fresh: found.fresh }, stack);
  const collector = index && startCollecting(metrics, { store, index, known, owed: asked.owed, log }, stack);
  const work = { collector, replicas, blobs, uploads, handover, mending, writeBack, queue, ...healing };
  const parts = { config, origins, self, store, node, tracking, log, ...work };
  const routes = (app: FastifyInstance): void => addOriginRoutes(app, { ...parts, membership, pins });
  const readiness = async (): Promise<string[]> => [...membership.problems(), ...((await backends?.problems()) ?? [])];
  const warnings = (): string[] =>
    [store.volumes, membership].flatMap((one) => one.warnings()).concat(pins.problems(), blocked.problems());
  const door = { at: config.listen, readiness, warnings, workOf: workOfRequest, routes };
  const api = await openDoor(context, door, stack);
  // First of all: nobody is sent here any more while what runs is finished.
  drain.onStart(() => void tracking.leave());
  if (writeBack !== undefined) restAtEnd(writeBack, drain);
  drain.watch('peers fed', () => node.feeding);
  return { ports: { api, peer: node.port } };
}

/** What goes from the store is nobody's business any more. */
function forgetGone(
  store: BlobStore,
  { handover, mending, node }: { readonly handover: Handover; readonly mending: Mending; readonly node: PeerNode },
): void {
  store.watch({
    evicted: (digest) => handover.forget(digest),
    unneeded: (digest) => {
      mending.forget(digest);
      node.drop(digest);
    },
  });
}

/** undefined: there is no backend, and nothing of it is loaded. */
async function coldOf(
  backends: Backends | undefined,
  parts: Omit<ColdParts, 'backends'>,
  stack: AsyncDisposableStack,
): Promise<OpenedCold | undefined> {
  return backends && (await import('./cold/open.ts')).openCold({ ...parts, backends }, stack);
}

/** How many origins own a blob; where there are more of them than before, they are seen to. */
function replicasBy(o: Omit<ReplicasOptions, 'more'>, handover: () => Handover, stack: AsyncDisposableStack): Replicas {
  return stack.use(new Replicas({ ...o, more: (digest) => handover().more(digest) }));
}

/** Whatever is fetched here of the origin's own accord goes by the same word, at one pace. */
function fetchingBy({ repair }: OriginConfig, index: IndexClient | undefined, known: KnownIndex): FetchingBy {
  const pace = new RepairPace(repair.rate, realClock);
  return { pace, linked: linkedBy(index, (said) => known.standing(said)), clock: realClock };
}

type Healing = { readonly repairing: Repairing; readonly draining: Draining };
type Healed = StartRepairParts & StartDrainingParts & StartRestoringParts;

/** What sees to it that blobs are where they should be, here and, when this origin is to go, elsewhere. */
async function heal(
  context: RoleContext<OriginConfig>,
  given: Omit<Healed, 'copies' | 'repairing'>,
  stack: AsyncDisposableStack,
): Promise<Healing> {
  const parts = { ...given, copies: given.cold?.copies };
  const repairing = startRepair(context, parts, stack);
  // As with cold reads, nothing of it is loaded without a backend.
  if (given.backends !== undefined)
    await (await import('./restoring/start.ts')).startRestoring(context, { ...parts, repairing }, stack);
  return { repairing, draining: await startDraining(context, { ...parts, repairing }, stack) };
}

/** What is given of a blob that still comes from a backend; `unproved` is called for each. */
function earlyRanges({ pull }: OriginConfig, metrics: Metrics): { strict: boolean; unproved: () => void } {
  const count = metrics.counter(
    'ranges_unproved_total',
    'Ranges that were given before it was known whether the blob is its digest, since it still comes from a backend',
  );
  return { strict: pull.strict, unproved: () => count.inc() };
}

type Observed = {
  readonly store: BlobStore;
  readonly uploads: Uploads;
  readonly handover: Handover;
  readonly mending: Mending;
};

function observe(metrics: Metrics, { store, uploads, handover, mending }: Observed): void {
  observeVolumes(metrics, { store });
  metrics.observed('stored_bytes', 'Bytes on disk of blobs', () => store.usedBytes);
  metrics.observed('stored_blobs', 'Blobs on disk', () => store.count);
  metrics.observed('uploads_open', 'Uploads that are open', () => uploads.count);
  metrics.observed('handovers_waiting', 'Blobs that some owner does not hold yet', () => handover.waiting);
  metrics.observed(
    'blobs_to_mend',
    'Blobs that were here whole and are not, as far as is known',
    () => mending.waiting,
  );
}

/** `index` undefined: none is configured, and nothing is blocked. */
async function indexOf(
  context: RoleContext<OriginConfig>,
  membership: Membership,
): Promise<{ readonly index: IndexClient | undefined; readonly blocked: Blocks }> {
  const { index } = context.config;
  const members = index.length === 0 ? undefined : await membership.others('index', index);
  return { index: members && new IndexClient(members), blocked: new Blocks(context, members) };
}

/** The index knows what may go when room is needed, since nothing links to it. */
function askIndex(parts: CondemnedOptions): AskUnneeded {
  const condemned = new Condemned(parts);
  return (digests, signal) => condemned.ask(digests, signal);
}

function openUploads(
  { config, log }: Pick<RoleContext<OriginConfig>, 'config' | 'log'>,
  { store, leaving }: { readonly store: BlobStore; readonly leaving: () => boolean },
  stack: AsyncDisposableStack,
): Uploads {
  const { limit: openMax, idle: idleMs } = config.uploads;
  const uploads = new Uploads({ store, openMax, idleMs, clock: realClock, leaving });
  stack.defer(sweeping(uploads, log));
  return uploads;
}

/** Removes idle uploads now and then; returns how to stop that. */
function sweeping(uploads: Uploads, log: Logger): () => void {
  const sweep = setInterval(() => {
    uploads.sweep().then(
      (ids) => ids.length > 0 && log.info({ ids }, 'idle uploads removed'),
      (error: unknown) => log.warn({ err: error }, 'idle uploads not removed'),
    );
  }, sweepMs);
  return () => clearInterval(sweep);
}
