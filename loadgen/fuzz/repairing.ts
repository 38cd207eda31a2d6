/** Repair of an origin of the run: the product's own, over the run's index and clocks. As origin/repair/start.ts does. */

import type { Digest } from '../../core/digest.ts';
import type { Handover } from '../../origin/handover.ts';
import type { Mending } from '../../origin/mending.ts';
import { linkedBy } from '../../origin/repair/links.ts';
import { openRepair, type Repairing } from '../../origin/repair/open.ts';
import { type FetchingBy, RepairPace } from '../../origin/repair/pace.ts';
import { ringOfMembers } from '../../origin/repair/ring.ts';
import { owedOf } from '../../origin/write-back/owed.ts';
import type { WriteBack } from '../../origin/write-back/write-back.ts';
import { IndexClient } from '../../platform/clients/index-client.ts';
import type { OriginClient } from '../../platform/clients/origin.ts';
import type { Members } from '../../platform/members/members.ts';
import type { Queue } from '../../platform/queue/queue.ts';
import type { BlobStore } from '../../platform/store/store.ts';
import type { Calls } from './http/calls.ts';
import { log, type Peer } from './peers/peer.ts';
import { clockOf, type World } from './world.ts';

/** So that it is passed several times in a run, and never for long. */
const settings = { parallel: 4, every: 30_000 };
const bytesPerS = 100e6;

export type RepairingParts = {
  readonly origins: Members<OriginClient>;
  readonly self: string;
  readonly replicas: (digest: Digest) => number;
  readonly budgetBytes: number;
  readonly peer: Peer;
  readonly store: BlobStore;
  readonly handover: Handover;
  readonly mending: Mending;
  readonly fetching: FetchingBy;
  readonly queue: Queue | undefined;
  readonly writeBack: WriteBack | undefined;
};

export function fetchingBy(world: World, calls: Calls, nowMs: () => number): FetchingBy {
  const clock = clockOf(world, nowMs, calls.process);
  // Which database answers is not noted here: one that was lost links to nothing until it is reconciled.
  const linked = linkedBy(new IndexClient(calls.index()), async () => 'known');
  return { linked, pace: new RepairPace(bytesPerS, clock), clock };
}

export function beginRepair(o: RepairingParts, stack: AsyncDisposableStack): Repairing {
  const { origins, self, replicas, store, handover, mending, queue, writeBack } = o;
  const { node, tracking } = o.peer;
  const repairing = openRepair(
    {
      replicas: 2,
      ...{ settings, node, store, tracking, log },
      ring: ringOfMembers(origins, { self, replicas }),
      ...o.fetching,
      owed: queue && ((digests) => owedOf(queue, digests)),
      room: (bytes) => store.usedBytes + bytes <= o.budgetBytes,
      inBackend: async () => false,
      came: async (entry, owed) => {
        mending.forget(entry.digest);
        for (const named of owed) {
          const repo = named === '' ? undefined : named;
          if (writeBack?.backs(repo) === true) await writeBack.asked(entry, repo);
        }
      },
      leaving: () => false,
      counts: undefined,
      breathe: () => new Promise((resolve) => setImmediate(resolve)),
    },
    stack,
  );
  handover.left = () => repairing.repair.later();
  mending.left = () => repairing.repair.changed();
  origins.onChange(() => {
    handover.relist();
    repairing.repair.changed();
  });
  return repairing;
}
