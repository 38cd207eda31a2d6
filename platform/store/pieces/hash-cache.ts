/**
 * Piece-hash lists in memory, within a bound: a store of 10 TiB has more than a gigabyte of them.
 *
 * Rule 1: they are never read on the calling thread, small as they are: the disk may hang.
 * Rule 2: that of a blob of which pieces are missing stays in memory, as its pull begins with it at once; beyond
 *   `listBytesMax` it goes as well, and such a pull begins as if nothing of the blob were here.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import { hashBytes } from '../../../core/piece.ts';
import { blake3Hex } from '../../workers/hash.ts';
import { type Disk, diskCode } from '../disk/disk.ts';
import type { OpenFiles } from '../disk/open-files.ts';
import type { BlobEntry } from './entry.ts';

const cacheBytesMax = 8 * 1024 * 1024;
/** With those of blobs of which pieces are missing: a thousand of the longest that are usual. */
const listBytesMax = 40 * 1024 * 1024;

export type Unlisted = { readonly code: string; readonly error: ApiError };

export class HashCache {
  readonly #disk: Disk;
  readonly #files: OpenFiles;
  /** In order of loading. */
  readonly #loaded = new Set<BlobEntry>();
  #bytes = 0;

  constructor(disk: Disk, files: OpenFiles) {
    this.#disk = disk;
    this.#files = files;
  }

  /** The list, checked against the root; or why it cannot be had: what lies there is no such list, or the disk's code. */
  async load(entry: BlobEntry): Promise<Uint8Array | Unlisted> {
    const { meta, pieces } = entry;
    try {
      const hashes = pieces === 0 ? new Uint8Array(0) : await this.#read(entry);
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

  async #read({ file, pieces }: BlobEntry): Promise<Uint8Array> {
    const { path, position } = file.list;
    const into = new Uint8Array(pieces * hashBytes);
    const read = async (fd: number): Promise<Uint8Array> => into.subarray(0, await this.#disk.read(fd, into, position));
    if (path === file.path) return await this.#files.use(file, read);
    const fd = await this.#disk.open(path, 'read');
    try {
      return await read(fd);
    } finally {
      await this.#disk.close(fd);
    }
  }

  /** The entry has its list: others may have to drop theirs. */
  add(entry: BlobEntry): void {
    if (!this.#loaded.has(entry)) this.#bytes += entry.pieces * hashBytes;
    this.#loaded.add(entry);
    for (const old of this.#loaded) {
      if (this.#bytes <= cacheBytesMax) return;
      if (old === entry || old.pinned || (!old.complete && this.#bytes <= listBytesMax)) continue;
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
