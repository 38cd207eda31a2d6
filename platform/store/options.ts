/** What a store is opened with. */

import type { PieceIo } from '../workers/piece-io.ts';
import type { Disk } from './disk/disk.ts';
import type { StoreLog } from './recover.ts';
import type { AskUnneeded } from './room/let-go.ts';

export type BlobStoreOptions = {
  /** Made where it is not there. */
  readonly dir: string;
  readonly role: 'agent' | 'origin';
  readonly workers: PieceIo;
  /** Infinity: the disk is the limit. */
  readonly budgetBytes: number;
  /** Of a blob that does not fit: what its pull may take beyond the budget (passing.ts). */
  readonly windowBytesMin?: number | undefined;
  /** What was acknowledged survives a crash, and nothing complete goes unless nobody needs it any more. */
  readonly durable: boolean;
  /** Of a durable store: who knows what nobody needs. Absent: nothing complete ever goes. */
  readonly askUnneeded?: AskUnneeded | undefined;
  readonly log?: StoreLog | undefined;
  readonly disk?: Disk;
  /** 0: only `flush` and the close write hints. */
  readonly flushEveryMs?: number;
};
