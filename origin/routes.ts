/** Everything that an origin answers over HTTP: to the cluster, to operators, to scripts written for Kraken. */

import type { FastifyInstance } from 'fastify';
import type { Digest } from '../core/digest.ts';
import type { CallContext } from '../platform/clients/context.ts';
import type { OriginClient } from '../platform/clients/origin.ts';
import type { Tracking } from '../platform/clients/tracking.ts';
import { addKrakenHostRoutes } from '../platform/host/kraken.ts';
import { addPinsRoutes } from '../platform/host/pins/open.ts';
import type { Pins } from '../platform/host/pins/pins.ts';
import { addVolumeRoutes } from '../platform/host/volumes.ts';
import type { RequestWork } from '../platform/lifecycle/drain.ts';
import type { Members } from '../platform/members/members.ts';
import type { Membership } from '../platform/members/membership.ts';
import { addMembersRoute } from '../platform/members/route.ts';
import { realClock } from '../platform/net/clock.ts';
import type { PeerNode } from '../platform/peer/node.ts';
import type { Queue } from '../platform/queue/queue.ts';
import { addQueueRoutes } from '../platform/queue/routes.ts';
import type { BlobEntry, BlobStore } from '../platform/store/store.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import { addOriginAdminRoutes, OriginAdmin } from './admin.ts';
import { addRoutes, originWork, relied } from './api.ts';
import type { OriginBlobs } from './blobs.ts';
import type { Collector } from './collect/collector.ts';
import { addCollectRoutes } from './collect/start.ts';
import type { OriginConfig } from './config.ts';
import type { Draining } from './draining/draining.ts';
import { addDrainRoutes } from './draining/start.ts';
import type { Handover } from './handover.ts';
import { addIdentityRoute, type OwnIdentity } from './identity.ts';
import { addKrakenRoutes, krakenWork } from './kraken/routes.ts';
import type { Mending } from './mending.ts';
import type { Repairing } from './repair/open.ts';
import { addRepairRoutes } from './repair/routes.ts';
import type { Replicas } from './replicas.ts';
import type { Uploads } from './uploads.ts';
import type { WriteBack } from './write-back/write-back.ts';

export type OriginParts = {
  readonly config: OriginConfig;
  readonly origins: Pick<Members<OriginClient>, 'owners' | 'owns' | 'known'>;
  readonly membership: Membership;
  readonly pins: Pins;
  /** Who this one is among them. */
  readonly self: OwnIdentity;
  readonly replicas: Replicas;
  readonly store: BlobStore;
  readonly node: PeerNode;
  readonly tracking: Tracking;
  readonly blobs: OriginBlobs;
  readonly uploads: Uploads;
  readonly handover: Handover;
  readonly mending: Mending;
  readonly log: Logger;
  /** Absent: no repository has a backend. */
  readonly writeBack: WriteBack | undefined;
  readonly queue: Queue | undefined;
  /** Absent: no index is configured. */
  readonly collector: Collector | undefined;
  readonly repairing: Repairing;
  readonly draining: Draining;
};

/** What a request is to an origin that is being stopped. */
export function workOfRequest(method: string, path: string): RequestWork | undefined {
  return originWork(method, path) ?? krakenWork(method, path);
}

export function addOriginRoutes(app: FastifyInstance, parts: OriginParts): void {
  const { config, origins, self, replicas, store, node, blobs, uploads, handover, writeBack, queue, log } = parts;
  const shared = {
    ...parts,
    budgetBytes: config.disk.budget,
    ownersOf: (digest: Digest) => origins.owners(digest, replicas.of(digest)).flatMap(({ url }) => url ?? []),
    onRemoved: handover.forget.bind(handover),
    mayRemove: async (digest: Digest) => await writeBack?.mayRemove(digest),
    onCommitted: (entry: BlobEntry, call: CallContext) => {
      replicas.came(entry.digest);
      handover.offer(entry, call);
    },
  };
  addRoutes(app, shared);
  addMembersRoute(app, parts.membership);
  addIdentityRoute(app, { self, known: () => origins.known });
  addVolumeRoutes(app, { store });
  addPinsRoutes(app, parts.pins);
  addKrakenHostRoutes(app, node, { limits: config.peer.limits, log });
  addRepairRoutes(app, parts.repairing);
  if (parts.collector !== undefined) addCollectRoutes(app, parts.collector);
  addDrainRoutes(app, parts.draining, parts.repairing);
  addOriginAdminRoutes(app, new OriginAdmin(shared));
  if (queue !== undefined) addQueueRoutes(app, { queue, wake: () => writeBack?.begin(), log });
  addKrakenRoutes(app, {
    ...shared,
    ...{ store, node },
    commit: async (id, { digest, repo }, call) => {
      const entry = await uploads.commit(id, digest);
      blobs.committed(entry);
      await relied(shared, { entry, repo }, call);
    },
    prove: async ({ digest, repo }, call) => relied(shared, { entry: await blobs.prove(digest), repo }, call),
    owns: (digest) => origins.owns(digest, self.id, replicas.of(digest)),
    wallMs: () => Date.now(),
    clock: realClock,
  });
}
