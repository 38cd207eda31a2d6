/** What a pull is to the rest of the process, and what pulls need of their node. Types only; part.ts is the pull. */

import type { Block } from '../../../core/contracts/documents/blocks.ts';
import type { Digest } from '../../../core/digest.ts';
import type { Growth, Metainfo } from '../../../core/piece.ts';
import type { BlobNo, BlobStats, Input } from '../../../core/swarm/types.ts';
import type { PeerAddress } from '../../../core/wire/messages.ts';
import type { Tracking } from '../../clients/tracking.ts';
import type { BlobEntry } from '../../store/pieces/entry.ts';
import type { BlobStore } from '../../store/store.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { PieceMemory } from '../../workers/arena.ts';
import type { PeerMetrics } from '../metrics.ts';
import type { PartEnd } from './life.ts';
import type { PullPace } from './pacing.ts';

/** Where a pull may begin before any tracker answers. */
export type PullFrom = {
  readonly peers?: readonly PeerAddress[] | undefined;
  readonly meta?: Metainfo | undefined;
  readonly growth?: Growth | undefined;
  /** The repository that it is pulled in: of whoever began the pull. */
  readonly repo?: string | undefined;
  /** It is fetched no faster than this allows, unless somebody pulls or reads it without. */
  readonly pace?: PullPace | undefined;
};

export interface Pull {
  readonly digest: Digest;
  /** The repository that it is sought in: of whoever began it. */
  readonly repo: string | undefined;
  /**
   * The blob's entry, once metainfo and hash list are known. Rejects with BLOB_UNKNOWN (no origin knows it),
   * UNAVAILABLE (nobody told in time), STORAGE_FULL, or the signal's reason.
   */
  learned(signal?: AbortSignal): Promise<BlobEntry>;
  /** The piece is on disk, verified. Rejects with SWARM_STALLED, what `fail` was given, or the signal's reason. */
  waitFor(piece: number, signal?: AbortSignal): Promise<void>;
  /** An origin has received all of it, and its digest is right; at once where it came as a whole. Rejects as `waitFor` does. */
  settled(signal?: AbortSignal): Promise<void>;
  /** A reader stands at piece `at` and reads up to `end`, exclusive. */
  reader(at: number, end: number): { move(at: number): void; close(): void };
  /** Every piece is on disk. Nobody has to listen to it. */
  readonly complete: Promise<void>;
  /**
   * Somebody reads it from now on, until this is disposed of. Once nobody does, it goes on for `lingerMs`: for those who
   * ask range by range. (What nobody ever read this way goes on until it is whole.)
   */
  use(): PullUse;
  readonly entry: BlobEntry | undefined;
  readonly stats: PullStats;
}

/** `gave`: its reader has given bytes to whoever asked. */
export interface PullUse extends Disposable {
  gave(): void;
}

export type PullStats = {
  readonly bytesFromPeers: number;
  readonly bytesFromOrigins: number;
  /** When it was first read, or began. */
  readonly startedMs: number;
  /** When a reader gave the first bytes, and the last ones. */
  readonly firstByteMs: number | undefined;
  readonly lastByteMs: number | undefined;
  readonly users: number;
};

/** Told of pulls that are read, at once. */
export type PullWatcher = {
  /** There is no room for the whole blob: it passes through. Once. */
  passes(pull: Pull): void;
  /** `error`: it did not end well. */
  ended(pull: Pull, end: PartEnd, error: Error | undefined): void;
};

export type BlobsHost = {
  nowMs(): number;
  input(input: Input): void;
  statsOf(blob: BlobNo): BlobStats | undefined;
  readonly store: BlobStore;
  readonly arena: PieceMemory;
  readonly tracking: Pick<Tracking, 'set' | 'unset' | 'seek' | 'grows'>;
  readonly log: Logger;
  readonly metrics: PeerMetrics;
  /** A whole blob that peers may have of us, or undefined. */
  readonly serves: (digest: Digest) => BlobEntry | undefined;
  /** What is neither pulled nor given. */
  readonly blocked?: ReadonlyMap<Digest, Block> | undefined;
  /** Neighbours to ask a tracker for. */
  readonly neighbours: number;
  readonly stallMs: number;
  readonly learnMs: number;
  readonly lingerMs?: number | undefined;
  readonly watcher?: PullWatcher | undefined;
};
