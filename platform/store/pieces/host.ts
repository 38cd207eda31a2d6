/** What an entry asks of its store. */

import type { PieceFiles } from './piece-bytes.ts';
import type { Hot } from './remembered.ts';

/** The store as one blob's entry sees it: files, names and room are the store's business. */
export interface HostOf<E> extends PieceFiles {
  /** What is kept in memory of small blobs; undefined: nothing. */
  readonly hot: Hot | undefined;
  /** The piece-hash list, from the file; ApiError UNAVAILABLE where it is not right: the entry is given up, or damaged. */
  loadHashes(entry: E): Promise<Uint8Array>;
  /** Every piece is held: gives the file its final name. False: the blob was not what it claimed, and is gone. */
  complete(entry: E): Promise<boolean>;
  /** What was held is wrong or missing; the entry is partial. `piece` undefined: more than one of them. */
  degraded(entry: E, piece: number | undefined, why: string): void;
  /** The disk does not take what was to be stored; `failure` says why. */
  refused(entry: E): void;
  /** The disk has no room: whether some was made. */
  makeRoom(bytes: number): Promise<boolean>;
  /** The file is gone from under us. */
  missing(entry: E): void;
  changed(entry: E): void;
  touched(entry: E): void;
}
