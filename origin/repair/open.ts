/** What repair is made of; closed with the stack. The parts that differ in a process and in the fuzzer are arguments. */

import type { NamedBlob } from '../../core/contracts/origin-repair.ts';
import type { Digest } from '../../core/digest.ts';
import type { CallContext } from '../../platform/clients/context.ts';
import type { Clock } from '../../platform/net/clock.ts';
import type { PeerNode } from '../../platform/peer/node.ts';
import type { BlobEntry, BlobStore } from '../../platform/store/store.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import { RepairAnswers } from './answers.ts';
import { Fetching, type Want } from './fetching.ts';
import type { AskLinked } from './links.ts';
import { BlobListing, type HeldHere } from './listing.ts';
import type { RepairPace } from './pace.ts';
import { OriginRepair } from './repair.ts';
import type { RepairRing } from './ring.ts';
import { type EachUnsafe, offerSpares } from './spare.ts';
import { SparesToGo, type SparesToGoOptions } from './spares-to-go.ts';
import { takeBy } from './take.ts';

export type RepairParts = {
  readonly ring: RepairRing;
  readonly settings: { readonly parallel: number; readonly every: number };
  /** Shared with whatever else this origin fetches of its own accord. */
  readonly pace: RepairPace;
  /** Of blobs of which nothing else is known. */
  readonly replicas: number;
  readonly node: Pick<PeerNode, 'self' | 'pull' | 'stop'>;
  readonly store: Pick<BlobStore, 'blobs' | 'get' | 'whole' | 'claim'>;
  readonly tracking: { unset(digest: Digest): void };
  readonly linked: AskLinked;
  /** What of it this origin owes to backends; undefined: it has none. */
  readonly owed: ((digests: readonly Digest[]) => Promise<ReadonlyMap<Digest, readonly string[]>>) | undefined;
  readonly room: (bytes: number) => boolean;
  readonly inBackend: (digest: Digest, signal: AbortSignal) => Promise<boolean>;
  readonly came: (entry: BlobEntry, owed: readonly string[]) => Promise<void>;
  /** This origin is about to leave: it fetches nothing. */
  readonly leaving: () => boolean;
  /** How many are to own each, as the index says (0: it does not say). Undefined: none is configured. */
  readonly counts: SparesToGoOptions['counts'];
  readonly breathe: () => Promise<void>;
  readonly clock: Clock;
  readonly log: LineLog;
};

export type Repairing = {
  readonly repair: OriginRepair;
  readonly answers: RepairAnswers;
  readonly ring: RepairRing;
  readonly linked: AskLinked;
  /** All that only others own, offered to them; they look at the bytes. */
  readonly spares: (each: EachUnsafe, ctx: CallContext) => Promise<number>;
  /** Of these copies, those that may go when room is needed, as only others own them, who have them. */
  readonly sparesToGo: (digests: readonly Digest[], signal: AbortSignal) => Promise<readonly Digest[]>;
};

export function openRepair(o: RepairParts, stack: AsyncDisposableStack): Repairing {
  const { ring, settings, store, node, clock, linked } = o;
  const { self: peer } = node;
  const { progress } = o.pace;
  const listing = new BlobListing({ ...o, blobs: () => store.blobs() });
  const { parallel } = settings;
  const take = takeBy({ ...o, parallel });
  const lacks = ({ digest, owners }: Want): boolean =>
    !o.leaving() && ring.owners(digest, owners).includes(ring.self) && store.get(digest)?.complete !== true;
  const fetching = stack.use(new Fetching({ ...o, lacks, take, parallel, progress }));
  const named = async (blobs: readonly HeldHere[]): Promise<readonly NamedBlob[]> => {
    const owed = await o.owed?.(blobs.map(({ digest }) => digest));
    return blobs.map((blob) => {
      const owners = ring.count(blob.digest);
      return {
        ...blob,
        ...(owed?.has(blob.digest) && { owed: owed.get(blob.digest) }),
        ...(owners !== o.replicas && { owners }),
      };
    });
  };
  const keeps = async (digest: Digest, sample: boolean): Promise<boolean> => {
    store.claim(digest);
    return (await store.whole(digest, sample ? 'sample' : 'size')) !== undefined;
  };
  const common = { ring, listing, peer, named };
  const answers = new RepairAnswers({ ...common, keeps, want: (want) => void fetching.add(want), leaving: o.leaving });
  const repair = new OriginRepair({
    ...common,
    ...{ fetching, progress, linked, clock, log: o.log },
    rateMax: o.pace.bytesPerS,
    everyMs: settings.every,
  });
  stack.use(repair);
  repair.begin();
  const reach = (place: string) => ring.others().find((other) => other.place === place && other.live);
  const toGo = new SparesToGo({
    ...{ ...o, ...common, reach },
    find: (digest) => {
      const entry = store.get(digest);
      return entry?.complete === true ? entry : undefined;
    },
    underReplicated: (digest) => repair.underReplicated(digest),
  });
  const spares = (each: EachUnsafe, ctx: CallContext): Promise<number> => {
    return offerSpares({ ...common, reach }, { sample: true, each }, ctx);
  };
  return { repair, answers, ring, linked, spares, sparesToGo: (digests, signal) => toGo.of(digests, signal) };
}
