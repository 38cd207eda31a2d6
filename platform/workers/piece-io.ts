/**
 * What carries bytes between slots and files, and hashes them on the way.
 *
 * Two implementations: `Workers` (threads, real files) and the store's `InlinePieceIo` (any Disk,
 * the faulty one too), so that the store's rules run unchanged under fault injection.
 *
 * Rule: a slot belongs to the job from the call until its promise settles.
 */

import type { DigestAlgorithm } from '../../core/digest.ts';
import type { Arena, Slot } from './arena.ts';

/** The disk refused: `errno` as in ENOSPC, EIO; 'SHORT' where the file ends before the piece does. */
export class IoFailure {
  readonly errno: string;
  constructor(errno: string) {
    this.errno = errno;
  }
}

export type FileRange = {
  readonly fd: number;
  /** Byte offset in the file. */
  readonly position: number;
  readonly slot: Slot;
  /** Bytes, from the slot's first; default: all of it. */
  readonly length?: number;
  /** Of the threads that do it; default 0. */
  readonly lane?: number;
};

export type PieceJob = FileRange & {
  /** 32 bytes. */
  readonly expected: Uint8Array;
  /** The blob's piece length is more than one unit (core/piece.ts). Default: the slot is. */
  readonly folded?: boolean;
  /** Not hashed by `readVerify`: for receivers that check it themselves (store/pieces/remembered.ts). Default: it is. */
  readonly believed?: boolean;
  /**
   * Told by `readVerify`, before it ends, the stamp of the file (store/disk/disk.ts), if it can be told: the one that it had
   * before it was read, or, where it is `believed`, after that: somebody may write to it while a slow disk gives it.
   * False: 'corrupt' will do, it need not be read.
   */
  readonly stamped?: (stamp: number) => boolean;
};

export interface PieceIo {
  readonly arena: Arena;
  /** Hashes the slot; where it is right, writes it. Nothing wrong is ever written. */
  verifyWrite(job: PieceJob): Promise<'held' | 'corrupt' | IoFailure>;
  /** Fills the slot from the file and hashes it, unless it is believed; the bytes may be shown only after 'ok'. */
  readVerify(job: PieceJob): Promise<'ok' | 'corrupt' | IoFailure>;
  hashStream(algorithm: DigestAlgorithm, lane?: number): HashStream;
}

/** A digest that grows, its jobs in the order of their calls. Ends with `finish` or `abort`, exactly once. */
export interface HashStream {
  /** Digest, BLAKE3 of each unit, write. Resolves with the units' hashes, 32 bytes each; slots are whole units except the last. */
  append(range: FileRange): Promise<Uint8Array | IoFailure>;
  /** Fills the slot from the file and adds it to the digest: verifies what is already stored. */
  appendStored(range: FileRange): Promise<'ok' | IoFailure>;
  /** The digest, lower-case hex. */
  finish(): Promise<string>;
  abort(): void;
}
