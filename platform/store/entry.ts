/**
 * One blob of the store: its pieces in and out, each verified both ways.
 *
 * Rule 1: a piece is held only after its hash matched and the disk took it; it is shown only after
 *   its hash matched again on the way out. So nothing persisted about pieces needs to be believed.
 * Rule 2: the verdict on the last missing piece comes when the blob is complete (and, where the
 *   store is durable, synced and checked against its digest).
 * Rule 3: an entry that was removed lives on for those that have it pinned; it takes no more pieces.
 * Rule 4: files and names are the store's business: it is told through `EntryHost`.
 */

import { assert } from '../../core/assert.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { hashBytes, type Metainfo, pieceBytes, pieceCount, unitBytes } from '../../core/piece.ts';
import type { Slot } from '../workers/arena.ts';
import { IoFailure, type PieceIo, type PieceJob } from '../workers/piece-io.ts';
import { Bits } from './bits.ts';
import { diskCode } from './disk.ts';
import { refusal } from './errors.ts';
import type { BlobFile } from './layout.ts';
import type { OpenFiles } from './open-files.ts';

/** What an entry asks of the store. */
export interface EntryHost {
  readonly io: PieceIo;
  readonly files: OpenFiles;
  /** The piece-hash list, from the file; throws ApiError UNAVAILABLE where it is not right, and gives the entry up. */
  loadHashes(entry: BlobEntry): Uint8Array;
  /** Every piece is held: gives the file its final name. False: the blob was not what it claimed, and is gone. */
  complete(entry: BlobEntry): Promise<boolean>;
  /** A held piece turned out wrong; the entry is partial again. */
  degraded(entry: BlobEntry, piece: number, why: string): void;
  /** The disk has no room: whether some was made. */
  makeRoom(bytes: number): Promise<boolean>;
  /** The file is gone from under us. */
  lost(entry: BlobEntry): void;
  changed(entry: BlobEntry): void;
  touched(entry: BlobEntry): void;
}

type State = 'partial' | 'complete' | 'gone';

/** Errors that mean that the bytes on the medium are not there, rather than that we failed to ask. */
const unreadable: readonly string[] = ['EIO', 'SHORT'];

export class BlobEntry {
  readonly digest: Digest;
  readonly meta: Metainfo;
  readonly pieces: number;
  /** For the store only. */
  file: BlobFile;
  /** Why the last write or read failed, as an answer for a client. */
  failure: ApiError | undefined;
  readonly #host: EntryHost;
  #state: State;
  /** undefined: all. */
  #bits: Bits | undefined;
  #hashes: Uint8Array | undefined;
  #pins = 0;
  #unhold: (() => Promise<void>) | undefined;

  constructor(o: {
    host: EntryHost;
    digest: Digest;
    meta: Metainfo;
    file: BlobFile;
    bits: Bits | undefined;
    hashes?: Uint8Array;
  }) {
    this.#host = o.host;
    this.digest = o.digest;
    this.meta = o.meta;
    this.pieces = pieceCount(o.meta);
    this.file = o.file;
    this.#bits = o.bits;
    this.#hashes = o.hashes;
    this.#state = o.bits === undefined ? 'complete' : 'partial';
  }

  /** 32 bytes a piece. Read from the disk where the entry was not used lately: throws ApiError UNAVAILABLE where that fails. */
  get hashes(): Uint8Array {
    this.#hashes ??= this.#host.loadHashes(this);
    return this.#hashes;
  }

  get complete(): boolean {
    return this.#state === 'complete';
  }

  /** Removed or evicted: only what is pinned can still be read. */
  get gone(): boolean {
    return this.#state === 'gone';
  }

  get pinned(): boolean {
    return this.#pins > 0;
  }

  /** Pieces held. */
  get heldCount(): number {
    return this.#bits?.count ?? this.pieces;
  }

  has(piece: number): boolean {
    if (this.#bits !== undefined) return this.#bits.has(piece);
    return piece >= 0 && piece < this.pieces;
  }

  /** A copy: bit (i & 7) of byte i >> 3. */
  haveBits(): Uint8Array {
    return (this.#bits ?? Bits.full(this.pieces)).bytes.slice();
  }

  /** Verifies the slot and stores it. 'failed': `failure` says why. The slot stays the caller's. */
  async write(piece: number, slot: Slot): Promise<'held' | 'corrupt' | 'failed'> {
    assert(slot.length === this.#length(piece), `store: piece ${piece} does not have ${slot.length} bytes`);
    // All held, not complete: the disk refused the last step. The swarm brings a piece again, and we try again.
    if (this.has(piece) && this.#bits?.count !== this.pieces) return 'held';
    if (this.gone) return this.#fail(removed(this.digest));
    if (!this.#hasHashes()) return 'failed';
    const unpin = this.pin();
    try {
      let verdict = await this.#verifyWrite(piece, slot);
      if (verdict instanceof IoFailure && verdict.errno === 'ENOSPC' && (await this.#host.makeRoom(slot.length))) {
        verdict = await this.#verifyWrite(piece, slot);
      }
      if (verdict instanceof IoFailure) return this.#fail(refusal(this.digest, verdict.errno));
      if (verdict === 'corrupt') return verdict;
      return await this.#hold(piece);
    } finally {
      unpin();
    }
  }

  /** Fills the slot with the piece, verified. 'corrupt': it is held no longer. 'failed': not held, or `failure` says why. */
  async read(piece: number, slot: Slot): Promise<'ok' | 'corrupt' | 'failed'> {
    assert(slot.length === this.#length(piece), `store: piece ${piece} does not have ${slot.length} bytes`);
    if (!this.has(piece))
      return this.#fail(new ApiError('UNAVAILABLE', `piece ${piece} of ${this.digest} is not held`));
    if (!this.#hasHashes()) return 'failed';
    const unpin = this.pin();
    try {
      let verdict = await this.#readVerify(piece, slot);
      // Once more: a wrong bit on the way from the medium is not a wrong bit on it.
      if (isBad(verdict)) verdict = await this.#readVerify(piece, slot);
      if (isBad(verdict)) {
        this.#clear(piece, verdict instanceof IoFailure ? verdict.errno : 'wrong hash');
        return 'corrupt';
      }
      if (verdict instanceof IoFailure) {
        if (verdict.errno === 'ENOENT' && !this.gone) this.#host.lost(this);
        return this.#fail(refusal(this.digest, verdict.errno));
      }
      this.#host.touched(this);
      return 'ok';
    } finally {
      unpin();
    }
  }

  /** Keeps the blob from being evicted, and readable even if it is removed. Returns unpin; calling that again is harmless. */
  pin(): () => void {
    this.#pins += 1;
    let pinned = true;
    return () => {
      if (!pinned) return;
      pinned = false;
      this.#pins -= 1;
      if (this.#pins === 0) this.#letGo();
    };
  }

  /** It was used now: evict others first. */
  touch(): void {
    this.#host.touched(this);
  }

  // ---- for the store only ----------------------------------------------------------------------

  becomeComplete(file: BlobFile = this.file): void {
    this.#state = 'complete';
    this.#bits = undefined;
    this.file = file;
  }

  /** No longer the store's. `unhold`: closes the file once the last pin goes. */
  becomeGone(unhold: (() => Promise<void>) | undefined): void {
    this.#state = 'gone';
    this.#unhold = unhold;
    if (this.#pins === 0) this.#letGo();
  }

  forgetHashes(): void {
    this.#hashes = undefined;
  }

  get hashesLoaded(): boolean {
    return this.#hashes !== undefined;
  }

  // ---- within ----------------------------------------------------------------------------------

  #letGo(): void {
    const unhold = this.#unhold;
    this.#unhold = undefined;
    // Nobody can be told that a close failed, and nothing depends on it.
    unhold?.().catch(() => undefined);
  }

  /** False: the hash list cannot be had, and `failure` says so. */
  #hasHashes(): boolean {
    try {
      return this.hashes.length > 0;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.failure = error;
      return false;
    }
  }

  #length(piece: number): number {
    assert(piece >= 0 && piece < this.pieces, `store: ${this.digest} has no piece ${piece}`);
    return pieceBytes(this.meta, piece);
  }

  #job(piece: number, slot: Slot, fd: number): PieceJob {
    return {
      fd,
      slot,
      position: piece * this.meta.pieceLength,
      expected: this.hashes.subarray(piece * hashBytes, (piece + 1) * hashBytes),
      folded: this.meta.pieceLength > unitBytes,
    };
  }

  async #verifyWrite(piece: number, slot: Slot): Promise<'held' | 'corrupt' | IoFailure> {
    return await this.#withFile((fd) => this.#host.io.verifyWrite(this.#job(piece, slot, fd)));
  }

  async #readVerify(piece: number, slot: Slot): Promise<'ok' | 'corrupt' | IoFailure> {
    return await this.#withFile((fd) => this.#host.io.readVerify(this.#job(piece, slot, fd)));
  }

  async #withFile<T>(work: (fd: number) => Promise<T>): Promise<T | IoFailure> {
    try {
      return await this.#host.files.use(this.file, work);
    } catch (error) {
      const code = diskCode(error);
      if (code === undefined) throw error;
      return new IoFailure(code);
    }
  }

  async #hold(piece: number): Promise<'held' | 'failed'> {
    if (this.gone) return this.#fail(removed(this.digest));
    this.#bits?.set(piece);
    this.#host.changed(this);
    if (this.#bits?.count !== this.pieces) return 'held';
    return (await this.#host.complete(this)) ? 'held' : 'failed';
  }

  #clear(piece: number, why: string): void {
    if (this.gone) return;
    this.#bits ??= Bits.full(this.pieces);
    this.#bits.clear(piece);
    this.#state = 'partial';
    this.#host.degraded(this, piece, why);
  }

  #fail(why: ApiError): 'failed' {
    this.failure = why;
    return 'failed';
  }
}

function isBad(verdict: 'ok' | 'corrupt' | IoFailure): boolean {
  return verdict === 'corrupt' || (verdict instanceof IoFailure && unreadable.includes(verdict.errno));
}

function removed(digest: Digest): ApiError {
  return new ApiError('BLOB_UNKNOWN', `${digest} was removed while it was being written: ask for it again`);
}
