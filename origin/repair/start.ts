/** Repair in an origin's process: what it needs of the other parts, its metrics, and when it is told to look. */

import type { Digest } from '../../core/digest.ts';
import type { IndexClient } from '../../platform/clients/index-client.ts';
import type { OriginClient } from '../../platform/clients/origin.ts';
import type { Tracking } from '../../platform/clients/tracking.ts';
import type { RoleContext } from '../../platform/lifecycle/role.ts';
import type { Members } from '../../platform/members/members.ts';
import type { PeerNode } from '../../platform/peer/node.ts';
import type { Queue } from '../../platform/queue/queue.ts';
import type { BlobStore } from '../../platform/store/store.ts';
import type { Metrics } from '../../platform/telemetry/metrics.ts';
import type { BackendCopies } from '../cold/copies.ts';
import type { OriginConfig } from '../config.ts';
import type { Handover } from '../handover.ts';
import type { Mending } from '../mending.ts';
import { owedOf } from '../write-back/owed.ts';
import type { WriteBack } from '../write-back/write-back.ts';
import { openRepair, type Repairing } from './open.ts';
import type { FetchingBy } from './pace.ts';
import { ringOfMembers } from './ring.ts';

export type StartRepairParts = FetchingBy & {
  readonly origins: Members<OriginClient>;
  /** This origin's id. */
  readonly self: string;
  readonly replicas: (digest: Digest) => number;
  readonly node: PeerNode;
  readonly store: BlobStore;
  readonly tracking: Tracking;
  readonly handover: Handover;
  readonly mending: Mending;
  readonly index: Pick<IndexClient, 'replicas'> | undefined;
  readonly queue: Queue | undefined;
  readonly copies: BackendCopies | undefined;
  readonly writeBack: WriteBack | undefined;
  readonly leaving: () => boolean;
};

/** It has begun; closed with the stack. */
export function startRepair(
  { config, log, metrics }: Pick<RoleContext<OriginConfig>, 'config' | 'log' | 'metrics'>,
  parts: StartRepairParts,
  stack: AsyncDisposableStack,
): Repairing {
  const { origins, self, store, handover, mending, index, queue, copies, writeBack } = parts;
  const { repair: settings, disk } = config;
  const repairing = openRepair(
    {
      ...parts,
      ring: ringOfMembers(origins, { self, replicas: parts.replicas }),
      settings,
      replicas: config.replicas,
      owed: queue && ((digests) => owedOf(queue, digests)),
      room: (bytes) => store.usedBytes + bytes <= disk.budget,
      inBackend: async (digest, signal) => ((await copies?.confirmed([digest], signal)) ?? []).length > 0,
      came: async (entry, owed) => {
        mending.forget(entry.digest);
        for (const named of owed) {
          const repo = named === '' ? undefined : named;
          if (writeBack?.backs(repo) === true) await writeBack.asked(entry, repo);
        }
      },
      counts: index && ((digests, ctx) => index.replicas(digests, ctx)),
      breathe: () => new Promise((resolve) => setImmediate(resolve)),
      log,
    },
    stack,
  );
  const { repair } = repairing;
  handover.left = () => repair.later();
  mending.left = () => repair.changed();
  stack.use(
    origins.onChange(() => {
      handover.relist();
      repair.changed();
    }),
  );
  observeRepair(metrics, repairing);
  return repairing;
}

function observeRepair(metrics: Metrics, { repair }: Repairing): void {
  const state = repair.state.bind(repair);
  metrics.observed(
    'repair_lacking_blobs',
    'Blobs that this origin should hold, lacks and knows of',
    () => state().lacking.blobs,
  );
  metrics.observed('repair_lacking_bytes', 'Bytes of these', () => state().lacking.bytes);
  metrics.observed(
    'repair_below_blobs',
    'Blobs here that another of their owners is known to lack',
    () => state().below,
  );
  metrics.observed('repair_unheard_blobs', 'Blobs here of which another owner does not answer', () => state().unheard);
  metrics.observed('repair_spare_blobs', 'Blobs here that only others own', () => state().spare.blobs);
  metrics.observed(
    'repair_fetched_blobs',
    'Blobs that were fetched as they should be here, since the start',
    () => state().fetched.blobs,
  );
  metrics.observed('repair_fetched_bytes', 'Bytes of these', () => state().fetched.bytes);
  metrics.observed('repair_bytes_per_second', 'Bytes of repair a second, lately', () => state().rate);
  metrics.observed(
    'repair_left_seconds',
    'Until nothing is lacking, at that rate; 0: nothing is, or nothing comes',
    () => (state().leftMs ?? 0) / 1000,
  );
}
