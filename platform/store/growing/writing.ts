/**
 * An origin receives a blob whose digest and length are known, in order, from where it rests. What has come is read and
 * fed to peers while the rest comes.
 *
 * Rule 1: a piece is held, and its hash known to others, as soon as all of it is hashed and written; the last one only
 *   once all bytes are the digest's.
 * Rule 2: it ends as a whole blob, synced, or as nothing. Where the bytes are not the digest's it is revoked: who reads it
 *   is cut off.
 * Rule 3: a stream that breaks off loses nothing: who has begun this goes on at `offset`. What another origin has received
 *   before, and came from there in pieces, is not fetched again.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import { digestAlgorithm, digestHex } from '../../../core/digest.ts';
import { hashBytes, type Metainfo, pieceBytes, unitBytes } from '../../../core/piece.ts';
import type { PieceMemory, Slot } from '../../workers/arena.ts';
import { blake3Hex, foldUnits } from '../../workers/hash.ts';
import type { PieceIo } from '../../workers/piece-io.ts';
import type { Disk } from '../disk/disk.ts';
import { asApiError, removed } from '../disk/errors.ts';
import type { OpenFiles } from '../disk/open-files.ts';
import { Intake } from '../intake.ts';
import type { BlobEntry } from '../pieces/entry.ts';
import { look, verifyHeld } from '../stored.ts';
import type { GrowingEntry } from './entry.ts';

/** A slot is a piece, where that is no longer: who waits for it gets it from memory. */
const slotBytesMax = 4 * unitBytes;

export interface WritingHost {
  readonly io: PieceIo;
  readonly disk: Disk;
  readonly files: OpenFiles;
  readonly synced: boolean;
  /** Gives the blob its name. */
  publish(entry: GrowingEntry, meta: Metainfo, hashes: Uint8Array): Promise<void>;
  /** Nothing of it stays. `revoked`: it is not its digest's. */
  drop(entry: GrowingEntry, revoked: ApiError | undefined): Promise<void>;
  ended(writing: Writing): void;
}

export class Writing {
  readonly entry: GrowingEntry;
  /** The first byte that is wanted. */
  readonly resumeAt: number;
  readonly #host: WritingHost;
  readonly #intake: Intake;
  readonly #unpin: () => void;
  readonly #unhold: () => Promise<void>;
  /** Hashes of the units of a piece that is not all here. */
  #units: Uint8Array[] = [];
  /** Of the last piece, which nobody knows yet. */
  #lastHash: Uint8Array | undefined;

  private constructor(entry: GrowingEntry, host: WritingHost, file: { fd: number; unhold: () => Promise<void> }) {
    this.entry = entry;
    this.#host = host;
    this.#unhold = file.unhold;
    this.#unpin = entry.pin();
    const { io, disk, synced } = host;
    const { meta } = entry;
    const slotBytes = slotBytesOf(meta.pieceLength, io.arena);
    this.#intake = new Intake({
      what: entry.digest,
      io,
      disk,
      synced,
      algorithm: digestAlgorithm(entry.digest),
      slotFor: (offset) => Math.min(slotBytes, meta.length - offset),
      written: (hashes, slot, position) => this.#written(hashes, slot, position),
    });
    this.#intake.fd = file.fd;
    let pieces = 0;
    while (entry.has(pieces)) pieces += 1;
    this.resumeAt = pieces * meta.pieceLength;
    if (pieces > 0) this.#intake.resume(this.resumeAt);
  }

  /** For the store. Throws what the disk says. */
  static async begin(entry: GrowingEntry, host: WritingHost): Promise<Writing> {
    const unhold = await host.files.hold(entry.file);
    const fd = await host.files.use(entry.file, async (open) => open);
    return new Writing(entry, host, { fd, unhold });
  }

  /** Bytes that are here or were taken: where a stream goes on that was cut. */
  get offset(): number {
    return this.#intake.offset;
  }

  /**
   * False: it came by another way, a push; `finish` answers it. Or a peer that has all of it told the whole list: then what is
   * missing comes in pieces, as of any blob, and `finish` answers what is here of it.
   */
  get needed(): boolean {
    return this.entry.growth !== undefined;
  }

  /**
   * Takes all of `chunk`, which is the caller's again when this resolves. ApiError SIZE_INVALID: there is more than the blob
   * has; UNAVAILABLE, STORAGE_FULL, BLOB_UNKNOWN (it was removed): it can only be aborted. DIGEST_INVALID: they are others
   * than came before, and it has been revoked.
   */
  async append(chunk: Uint8Array): Promise<void> {
    const { digest, meta } = this.entry;
    if (!this.needed) return;
    if (this.entry.gone) throw this.entry.revoked ?? removed(digest);
    if (this.offset + chunk.length > meta.length) {
      throw new ApiError('SIZE_INVALID', `${digest}: more than the ${meta.length} bytes came that it was said to have`);
    }
    try {
      await this.#intake.append(chunk);
    } catch (error) {
      if (error instanceof ApiError && error.code === 'DIGEST_INVALID') await this.abort(error);
      throw error;
    }
  }

  /**
   * Ends it either way. SIZE_INVALID: bytes are missing; DIGEST_INVALID: they are others, and it is revoked; UNAVAILABLE,
   * STORAGE_FULL, BLOB_UNKNOWN. After an error nothing is kept.
   */
  async finish(): Promise<BlobEntry> {
    const { entry } = this;
    try {
      if (this.needed) await this.#intake.conclude(() => this.#conclude());
      await this.#end();
      return entry;
    } catch (error) {
      // A push may have been faster, and is as good.
      if (entry.complete) {
        await this.#end();
        return entry;
      }
      const why = asApiError(error, entry.digest);
      await this.abort(why instanceof ApiError && why.code === 'DIGEST_INVALID' ? why : undefined);
      throw why;
    }
  }

  /** Nothing of it stays. `revoked`: what is here is not the digest's, and who reads it is cut off. Again is harmless. */
  async abort(revoked?: ApiError): Promise<void> {
    if (this.#intake.ended) return;
    const { entry } = this;
    await this.#intake.stop(new ApiError('UNAVAILABLE', `${entry.digest} is not received any more: ask for it again`));
    if (this.#intake.ended) return;
    if (this.needed) await this.#host.drop(entry, revoked);
    await this.#end();
  }

  // ---- within ----------------------------------------------------------------------------------

  async #end(): Promise<void> {
    if (!this.#intake.end()) return;
    this.#host.ended(this);
    this.#unpin();
    // Nobody can be told that a close failed, and nothing depends on it.
    await this.#unhold().catch(() => undefined);
  }

  /** In order. True: the entry has the slot. */
  #written(hashes: Uint8Array, slot: Slot, position: number): boolean {
    const { entry } = this;
    const { meta, pieces } = entry;
    if (entry.gone) throw entry.revoked ?? removed(entry.digest);
    this.#units.push(hashes);
    const piece = Math.floor(position / meta.pieceLength);
    const end = position + slot.length;
    if (end < piece * meta.pieceLength + pieceBytes(meta, piece)) return false;
    const hash = foldUnits(Buffer.concat(this.#units), meta.pieceLength);
    this.#units = [];
    if (piece === pieces - 1) {
      this.#lastHash = hash;
      return false;
    }
    if (!entry.wrote(piece, hash)) {
      throw new ApiError(
        'DIGEST_INVALID',
        `${entry.digest}: piece ${piece} is not what came before: the bytes where it rests have changed meanwhile`,
      );
    }
    if (slot.length !== pieceBytes(meta, piece)) return false;
    entry.keep(piece, slot);
    return true;
  }

  async #conclude(): Promise<void> {
    const { entry, offset } = this;
    const { digest, meta } = entry;
    if (offset < meta.length || this.#lastHash === undefined) {
      throw new ApiError(
        'SIZE_INVALID',
        `${digest}: ${offset} bytes came of the ${meta.length} that it was said to have`,
      );
    }
    const hex = await this.#intake.digest();
    const right = hex === digestHex(digest);
    await this.#mended(right);
    if (!right) {
      throw new ApiError('DIGEST_INVALID', `the ${offset} bytes that came for ${digest} are ${hex}: they are not kept`);
    }
    const hashes = new Uint8Array(entry.pieces * hashBytes);
    hashes.set(entry.hashes);
    hashes.set(this.#lastHash, hashes.length - hashBytes);
    await this.#host.publish(entry, { ...meta, root: blake3Hex(hashes) }, hashes);
    entry.tellGrown();
  }

  /**
   * The disk may have lost what was written, and what was read back from it is in the digest: that is no fault of where the
   * blob rests.
   */
  async #mended(right: boolean): Promise<void> {
    const { entry } = this;
    const { arena } = this.#host.io;
    for (const piece of entry.unread) await look(entry, piece, arena);
    if (!right && this.resumeAt > 0) await verifyHeld(entry, arena);
    const lost = entry.pieces - 1 - entry.heldCount;
    if (lost > 0) {
      throw new ApiError(
        'UNAVAILABLE',
        `${entry.digest}: ${lost} of its pieces were lost on the disk: it must come again`,
      );
    }
  }
}

/** Whole units that divide a piece, and fit in memory. */
function slotBytesOf(pieceLength: number, arena: PieceMemory): number {
  let bytes = Math.min(pieceLength, slotBytesMax);
  while (bytes > unitBytes && bytes > arena.shareBytes('receive')) bytes /= 2;
  return bytes;
}
