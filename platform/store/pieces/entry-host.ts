/** The store as one blob's entry sees it (entry.ts): files, names and room are the store's business. */

import type { PieceIo } from '../../workers/piece-io.ts';
import type { OpenFiles } from '../disk/open-files.ts';
import type { BlobEntry } from './entry.ts';

/** What an entry asks of the store. */
export interface EntryHost {
  readonly io: PieceIo;
  readonly files: OpenFiles;
  nowMs(): number;
  /** As Disk.stampNow; undefined: the disk cannot tell, and nothing is trusted. */
  stampOf(fd: number): number | undefined;
  /** The piece-hash list, from the file; throws ApiError UNAVAILABLE where it is not right: the entry is given up, or damaged. */
  loadHashes(entry: BlobEntry): Uint8Array;
  /** Every piece is held: gives the file its final name. False: the blob was not what it claimed, and is gone. */
  complete(entry: BlobEntry): Promise<boolean>;
  /** What was held is wrong or missing; the entry is partial. `piece` undefined: more than one of them. */
  degraded(entry: BlobEntry, piece: number | undefined, why: string): void;
  /** The disk has no room: whether some was made. */
  makeRoom(bytes: number): Promise<boolean>;
  /** The file is gone from under us. */
  missing(entry: BlobEntry): void;
  changed(entry: BlobEntry): void;
  touched(entry: BlobEntry): void;
}
