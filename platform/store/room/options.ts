/** What the byte budget is told, and whom it asks. */

import type { Digest } from '../../../core/digest.ts';
import type { BlobEntry } from '../pieces/entry.ts';
import type { BlobRow } from '../table/table.ts';
import type { AskUnneeded } from './let-go.ts';

export type RoomOptions = {
  readonly dir: string;
  readonly budgetBytes: number;
  readonly keeps: boolean;
  /** Paths of those that anything new is written to, as people are told of them. */
  readonly disks: () => string;
  /** Bytes that can still be written to them. */
  readonly freeBytes: () => Promise<number>;
  /** Removes the blob; called for what `Room` has already given up. */
  readonly evict: (entry: BlobEntry) => Promise<void>;
  /** Of a store that keeps: who knows what nobody needs. Absent: nothing complete goes. */
  readonly askUnneeded?: AskUnneeded | undefined;
  /** By that word it is about to go: who mends it lets go of it. */
  readonly onUnneeded: (entry: BlobEntry) => void;
  readonly nowMs: () => number;
  /** Seconds since the epoch. */
  readonly wallSeconds: () => number;
  /** An entry for a blob that is whole here. */
  readonly open: (blob: BlobRow) => BlobEntry;
  /** Of an entry that may be nobody's any more: what it has in memory can be had again. */
  readonly idle: (entry: BlobEntry) => void;
  /** Entries that are kept though nobody may be using them. Default: live.ts. */
  readonly idleMax?: number | undefined;
  /** It does not go for want of room, as others need it here. */
  readonly stays?: ((digest: Digest) => boolean) | undefined;
  /** What lies on each is counted there. */
  readonly volumes: readonly { usedBytes: number; blobs: number }[];
};
