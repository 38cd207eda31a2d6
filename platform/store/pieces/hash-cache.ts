/**
 * Piece-hash lists in memory, within a bound: a store of 10 TiB has more than a gigabyte of them.
 *
 * They are read on the calling thread, since whoever asks for `entry.hashes` gets an answer at once:
 * 64 KiB at most for blobs under 8 GiB, once, from a file that is about to be read anyway.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import { hashBytes } from '../../../core/piece.ts';
import { blake3Hex } from '../../workers/hash.ts';
import { type Disk, diskCode } from '../disk/disk.ts';
import type { BlobEntry } from './entry.ts';

const cacheBytesMax = 8 * 1024 * 1024;

export type Unlisted = { readonly code: string; readonly error: ApiError };

export class HashCache {
  readonly #disk: Disk;
  /** In order of loading. */
  readonly #loaded = new Set<BlobEntry>();
  #bytes = 0;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /** The list, checked against the root; or why it cannot be had: what lies there is no such list, or the disk's code. */
  load(entry: BlobEntry): Uint8Array | Unlisted {
    const { meta, pieces, file } = entry;
    try {
      const { path, position } = file.list;
      const hashes = pieces === 0 ? new Uint8Array(0) : this.#disk.readNow(path, position, pieces * hashBytes);
      if (hashes.length === pieces * hashBytes && blake3Hex(hashes) === meta.root) {
        this.add(entry);
        return hashes;
      }
      return unlisted(entry, 'DAMAGED', 'the piece-hash list in its file is damaged');
    } catch (error) {
      const code = diskCode(error);
      if (code === undefined) throw error;
      return unlisted(entry, code, `its file cannot be read (${code})`);
    }
  }

  /** The entry has its list: others may have to drop theirs. */
  add(entry: BlobEntry): void {
    if (!this.#loaded.has(entry)) this.#bytes += entry.pieces * hashBytes;
    this.#loaded.add(entry);
    for (const old of this.#loaded) {
      if (this.#bytes <= cacheBytesMax) return;
      if (old === entry || old.pinned) continue;
      this.drop(old);
    }
  }

  /** Its list is read again when it is wanted. */
  drop(entry: BlobEntry): void {
    this.forget(entry);
    entry.takeHashes(undefined);
  }

  forget(entry: BlobEntry): void {
    if (this.#loaded.delete(entry)) this.#bytes -= entry.pieces * hashBytes;
  }
}

function unlisted({ digest }: BlobEntry, code: string, why: string): Unlisted {
  return { code, error: new ApiError('UNAVAILABLE', `${digest}: ${why}: it must come anew`) };
}
