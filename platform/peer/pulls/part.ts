/** A blob that this node takes part in, and what is needed for it (blobs.ts). */

import type { Digest } from '../../../core/digest.ts';
import type { BlobNo, BlobStats, Input } from '../../../core/swarm/types.ts';
import type { Tracking } from '../../clients/tracking.ts';
import type { BlobEntry } from '../../store/pieces/entry.ts';
import type { BlobStore } from '../../store/store.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { PieceMemory } from '../../workers/arena.ts';
import type { PeerMetrics } from '../metrics.ts';
import type { Passage } from './passage.ts';
import type { Task } from './task.ts';

export type BlobsHost = {
  nowMs(): number;
  input(input: Input): void;
  statsOf(blob: BlobNo): BlobStats | undefined;
  readonly store: BlobStore;
  readonly arena: PieceMemory;
  readonly tracking: Tracking;
  readonly log: Logger;
  readonly metrics: PeerMetrics;
  /** A whole blob that peers may have of us, or undefined. */
  readonly serves: (digest: Digest) => BlobEntry | undefined;
  /** Neighbours to ask a tracker for. */
  readonly neighbours: number;
  readonly stallMs: number;
  readonly learnMs: number;
};

/** A task with what only the node needs of it. */
export type Part = {
  readonly task: Task;
  /** Whether the swarm was told to pull it, rather than only to feed it. */
  readonly pulls: boolean;
  /** Peers were given: what trackers do not know does not end it. */
  readonly given: boolean;
  /** The entry, as soon as the store has made it; undefined where it could not. */
  entry: Promise<BlobEntry | undefined> | undefined;
  /** There is no room for the whole blob: which pieces are here when. */
  passage: Passage | undefined;
  /** Since when nobody opened it. */
  idleMs: number;
  /** Pieces that the store has and has not answered for. */
  verifying: number;
};
