/** What a store is opened with, and what it tells. */

import type { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import type { Metainfo } from '../../core/piece.ts';
import type { PieceIo } from '../workers/piece-io.ts';
import type { Disk } from './disk/disk.ts';
import type { Hot } from './pieces/remembered.ts';
import type { StoreLog } from './recover.ts';
import type { AskUnneeded } from './room/let-go.ts';
import type { Eviction } from './room/tidying.ts';
import type { VolumePlan } from './volumes/volume.ts';

/** What is promised of an agent's blobs, and of an origin's. */
export const agentPromises = { role: 'agent', synced: false, keeps: false } as const;
export const originPromises = { role: 'origin', synced: true, keeps: true } as const;

export type BlobStoreOptions = {
  /** Made where it is not there. */
  readonly dir: string;
  readonly role: 'agent' | 'origin';
  readonly workers: PieceIo;
  /** Infinity: the disk is the limit. */
  readonly budgetBytes: number;
  /** Of a blob that does not fit: what its pull may take beyond the budget (passing.ts). */
  readonly windowBytesMin?: number | undefined;
  /** What was acknowledged is synced, and survives a crash. */
  readonly synced: boolean;
  /**
   * Others rely on what is here: nothing complete goes unless nobody needs it any more, and nothing counts as complete
   * that was not compared with its digest. Otherwise it is a cache: what it has can be fetched again.
   */
  readonly keeps: boolean;
  /** Of a store that keeps: who knows what nobody needs. Absent: nothing complete ever goes. */
  readonly askUnneeded?: AskUnneeded | undefined;
  /** What goes in the background (room/tidying.ts). Absent: nothing, but where room is needed. */
  readonly eviction?: Eviction | undefined;
  /** Others need it here: it does not go for want of room, be it old. */
  readonly stays?: ((digest: Digest) => boolean) | undefined;
  /** Files of a container runtime on this host may be blobs of this cache (shared/shared.ts). */
  readonly shares?: boolean | undefined;
  /** Pieces that are in memory as well (pieces/hot.ts). Absent: only while they are being used. */
  readonly hot?: Hot | undefined;
  readonly log?: StoreLog | undefined;
  readonly disk?: Disk;
  /** Entries that are kept though nobody may be using them (table/live.ts). */
  readonly idleMax?: number | undefined;
  /** Blobs from which on a start relies on what the last process wrote down (finding.ts). */
  readonly trustFrom?: number | undefined;
  /** Beside `dir`; none: all lies in `dir`. */
  readonly volumes?: readonly VolumePlan[] | undefined;
  /** How volumes are watched. Absent: as a process does; with a `disk` of its own, not at all. */
  readonly watch?: { readonly hungMs?: number; readonly lookMs?: number } | undefined;
  /** 0: only `flush` and the close write hints. */
  readonly flushEveryMs?: number;
};

/** Told at once, before anything else happens. */
export type StoreWatcher = {
  /** A blob was evicted or given up, but not by `remove`: the swarm must drop it. */
  readonly evicted?: (digest: Digest) => void;
  /** A blob that grew is not its digest's: who reads it is to be cut off. It is `evicted` as well, after this. */
  readonly revoked?: (digest: Digest, why: ApiError) => void;
  /** A blob is about to be removed to make room, as nobody needs it: it is not to be mended. */
  readonly unneeded?: (digest: Digest) => void;
  /** A blob is here that was evicted, as its volume was lost; that is back. */
  readonly returned?: (digest: Digest) => void;
  /** A blob that was whole here turned out to be gone (and was `evicted`) or damaged. */
  readonly missing?: (digest: Digest, meta: Metainfo) => void;
};

/** All of them at once, in order. */
export function toEach(watchers: readonly StoreWatcher[]): Required<StoreWatcher> {
  return {
    evicted: (digest) => {
      for (const { evicted } of watchers) evicted?.(digest);
    },
    revoked: (digest, why) => {
      for (const { revoked } of watchers) revoked?.(digest, why);
    },
    unneeded: (digest) => {
      for (const { unneeded } of watchers) unneeded?.(digest);
    },
    returned: (digest) => {
      for (const { returned } of watchers) returned?.(digest);
    },
    missing: (digest, meta) => {
      for (const { missing } of watchers) missing?.(digest, meta);
    },
  };
}
