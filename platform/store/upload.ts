/**
 * A blob on its way in from a client, its digest unknown until the end.
 *
 * Rule: nothing is kept of an upload that fails, is cancelled, or was not committed before a crash.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import { type Digest, type DigestAlgorithm, digestAlgorithm, digestOf } from '../../core/digest.ts';
import { type Metainfo, pieceCount, pieceLengthFor, piecesMax, unitBytes } from '../../core/piece.ts';
import { blake3Hex, foldUnits } from '../workers/hash.ts';
import { IoFailure, type PieceIo } from '../workers/piece-io.ts';
import { type Disk, diskCode, unlinkIfThere } from './disk/disk.ts';
import { asApiError, refusal } from './disk/errors.ts';
import { Intake } from './intake.ts';
import type { BlobEntry } from './pieces/entry.ts';
import type { StoreLog } from './recover.ts';
import { storedDigest } from './stored.ts';

/** Small uploads take one unit; from here on slots are larger, for fewer jobs. */
const largeFrom = 4 * unitBytes;
const largeSlotBytes = 2 * unitBytes;

export type ReceivedBlob = {
  readonly digest: Digest;
  readonly meta: Metainfo;
  readonly hashes: Uint8Array;
  readonly path: string;
  readonly volume: number;
  readonly fd: number;
};

export interface UploadHost {
  readonly io: PieceIo;
  readonly disk: Disk;
  readonly log: StoreLog;
  readonly synced: boolean;
  /** Room in the byte budget; ApiError STORAGE_FULL. */
  reserve(bytes: number): Promise<void>;
  release(bytes: number): void;
  /** Gives the blob its name: file, descriptor and reservation (length and hash list) are the store's then. */
  publish(blob: ReceivedBlob): Promise<BlobEntry>;
  ended(upload: Upload): void;
}

export class Upload {
  readonly id: string;
  readonly algorithm: DigestAlgorithm;
  readonly #host: UploadHost;
  readonly #path: string;
  readonly #volume: number;
  readonly #intake: Intake;
  readonly #unitHashes: Uint8Array[] = [];
  #reserved = 0;

  constructor(o: { id: string; algorithm: DigestAlgorithm; path: string; volume: number; host: UploadHost }) {
    this.id = o.id;
    this.algorithm = o.algorithm;
    this.#path = o.path;
    this.#volume = o.volume;
    this.#host = o.host;
    const { io, disk, synced } = o.host;
    this.#intake = new Intake({
      what: `upload ${o.id}`,
      io,
      disk,
      synced,
      algorithm: o.algorithm,
      slotFor: (offset) => this.#slotFor(offset),
      written: (hashes) => {
        this.#unitHashes.push(hashes);
        return false;
      },
    });
  }

  /** Bytes taken so far. */
  get offset(): number {
    return this.#intake.offset;
  }

  /** For the store: makes the file. */
  async begin(): Promise<void> {
    this.#intake.fd = await this.#host.disk.open(this.#path, 'create');
  }

  /** Takes all of `chunk`, which is the caller's again when this resolves. After an error the upload can only be cancelled. */
  async append(chunk: Uint8Array): Promise<void> {
    await this.#intake.append(chunk);
  }

  /** Ends the upload either way. DIGEST_INVALID, STORAGE_FULL, SIZE_INVALID, UNAVAILABLE: nothing is kept. */
  async commit(digest: Digest): Promise<BlobEntry> {
    try {
      return await this.#intake.conclude(async () => {
        await this.#verify(digest);
        return await this.#publish(digest);
      });
    } catch (error) {
      await this.cancel();
      throw asApiError(error, digest);
    }
  }

  /** Removes everything of it. Waits for what is being done; again, or after the end, is harmless. */
  async cancel(): Promise<void> {
    if (this.#intake.ended) return;
    await this.#intake.stop(new ApiError('BLOB_UPLOAD_UNKNOWN', `upload ${this.id} was cancelled: begin a new one`));
    // Another cancel, or the commit that it waited for, may have ended it meanwhile.
    await this.#discard();
  }

  // ---- within ----------------------------------------------------------------------------------

  async #slotFor(offset: number): Promise<number> {
    const wanted = offset < largeFrom ? unitBytes : largeSlotBytes;
    const size = Math.min(wanted, this.#host.io.arena.shareBytes('receive'));
    await this.#host.reserve(size);
    this.#reserved += size;
    return size;
  }

  /** False: it has ended already. */
  #end(): boolean {
    const ends = this.#intake.end();
    if (ends) this.#host.ended(this);
    return ends;
  }

  async #verify(digest: Digest): Promise<void> {
    let found = digestOf(this.algorithm, await this.#intake.digest());
    const algorithm = digestAlgorithm(digest);
    if (algorithm !== this.algorithm) {
      // The client changed its mind: the one case that costs a second read.
      const hex = await storedDigest(this.#host.io, { fd: this.#intake.fd, length: this.offset, algorithm });
      if (hex instanceof IoFailure) throw refusal(`upload ${this.id}`, hex.errno);
      found = digestOf(algorithm, hex);
    }
    if (found !== digest) {
      throw new ApiError(
        'DIGEST_INVALID',
        `the ${this.offset} bytes of the upload have digest ${found}, not ${digest}: send them again`,
      );
    }
  }

  async #publish(digest: Digest): Promise<BlobEntry> {
    const length = this.offset;
    const pieceLength = pieceLengthFor(length);
    if (pieceCount({ length, pieceLength }) > piecesMax) {
      throw new ApiError(
        'SIZE_INVALID',
        `a blob of ${length} bytes is larger than ${piecesMax} pieces of ${pieceLength} bytes`,
      );
    }
    const hashes = foldUnits(joined(this.#unitHashes), pieceLength);
    const meta: Metainfo = { length, pieceLength, root: blake3Hex(hashes) };
    const spare = this.#reserved - length - hashes.length;
    if (spare < 0) await this.#host.reserve(-spare);
    else this.#host.release(spare);
    this.#reserved -= spare;
    const at = { path: this.#path, volume: this.#volume, fd: this.#intake.fd };
    const entry = await this.#host.publish({ digest, meta, hashes, ...at });
    this.#reserved = 0;
    this.#end();
    return entry;
  }

  async #discard(): Promise<void> {
    if (!this.#end()) return;
    const { disk, log, release } = this.#host;
    release(this.#reserved);
    try {
      if (this.#intake.fd >= 0) await disk.close(this.#intake.fd);
      await unlinkIfThere(disk, this.#path);
    } catch (error) {
      if (diskCode(error) === undefined) throw error;
      log.warn(
        { upload: this.id, error: String(error) },
        'what an upload left could not be removed: the next start does',
      );
    }
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.length === 0 ? 0 : parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
