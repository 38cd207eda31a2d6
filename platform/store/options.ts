/** What a store is opened with. */

import type { PieceIo } from '../workers/piece-io.ts';
import type { Disk } from './disk/disk.ts';
import type { StoreLog } from './recover.ts';
import type { AskUnneeded } from './room/let-go.ts';

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
  readonly log?: StoreLog | undefined;
  readonly disk?: Disk;
  /** 0: only `flush` and the close write hints. */
  readonly flushEveryMs?: number;
};
