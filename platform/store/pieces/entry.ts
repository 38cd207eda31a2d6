/**
 * One blob of the store: its pieces in and out, each verified both ways.
 *
 * Rule 1: a piece is held only after its hash matched and the disk took it; it is shown only after
 *   its hash matched again on the way out. So nothing persisted about pieces needs to be believed.
 * Rule 2: the verdict on the last missing piece comes when the blob is complete (where the store keeps: synced, and checked).
 * Rule 3: an entry that was removed lives on for those that have it pinned; it takes no more pieces.
 * Rule 4: files and names are the store's business: it is told through `EntryHost`.
 * Rule 5: what was verified in memory may be lent from there while the arena has room for it (remembered.ts).
 */

import { assert } from '../../../core/assert.ts';
import { ApiError } from '../../../core/contracts/errors.ts';
import type { Digest } from '../../../core/digest.ts';
import { type Growth, hashBytes, type Metainfo, pieceCount } from '../../../core/piece.ts';
import type { Verdict } from '../../../core/swarm/types.ts';
import type { Share, Slot } from '../../workers/arena.ts';
import { IoFailure } from '../../workers/piece-io.ts';
import { refusal, removed } from '../disk/errors.ts';
import type { BlobFile } from '../layout.ts';
import type { Window } from '../room/window.ts';
import type { HostOf } from './host.ts';
import type { InMemory } from './in-memory.ts';
import { isBad, PieceBytes } from './piece-bytes.ts';
import { heldWithin, Kept, PieceBits, Trust } from './remembered.ts';

type State = 'partial' | 'complete' | 'gone';

export type EntryHost = HostOf<BlobEntry>;

export class BlobEntry {
  readonly digest: Digest;
  /** While it grows its root is none (growing/entry.ts); only the store sets it. */
  meta: Metainfo;
  readonly pieces: number;
  /** There is no room for the whole blob: its pieces pass through here, and are not kept (passing.ts). */
  readonly window: Window | undefined;
  /** Where its pieces are, if no disk takes them (in-memory.ts). */
  readonly memory: InMemory | undefined;
  /** For the store only. */
  file: BlobFile;
  /** Why the last write or read failed, as an answer for a client. */
  failure: ApiError | undefined;
  /** It turned out not to be its digest's: nobody gets any more of it. */
  revoked: ApiError | undefined;
  readonly #host: EntryHost;
  #state: State;
  /** undefined: all. */
  #bits: PieceBits | undefined;
  #hashes: Uint8Array | undefined;
  readonly #trust: Trust;
  readonly #bytes: PieceBytes;
  readonly #kept: Kept;
  /** Pieces that were held until the disk would not read them: they may be right all the same. */
  readonly #unread = new Set<number>();
  #pins = 0;
  #changes = 0;
  #unhold: (() => Promise<void>) | undefined;

  constructor(o: {
    host: EntryHost;
    digest: Digest;
    meta: Metainfo;
    file: BlobFile;
    bits: PieceBits | undefined;
    hashes?: Uint8Array;
    window?: Window;
    memory?: InMemory;
  }) {
    this.#host = o.host;
    this.digest = o.digest;
    this.meta = o.meta;
    this.pieces = pieceCount(o.meta);
    this.file = o.file;
    this.window = o.window;
    this.memory = o.memory ?? o.window?.memory;
    this.#bits = o.bits;
    this.#hashes = o.hashes;
    this.#trust = new Trust(this.pieces);
    this.#bytes = new PieceBytes({ entry: this, host: o.host, trust: this.#trust });
    this.#kept = new Kept({ arena: o.host.io.arena, hot: o.host.hot, blob: this });
    this.#state = o.bits === undefined ? 'complete' : 'partial';
  }

  /** 32 bytes a piece, where they are in memory (`listed`). */
  get hashes(): Uint8Array {
    if (this.#hashes !== undefined) return this.#hashes;
    throw new ApiError('UNAVAILABLE', `the piece-hash list of ${this.digest} is not in memory: try again`);
  }

  /** The same, read from the disk where the entry was not used lately: ApiError UNAVAILABLE where that fails. */
  async listed(): Promise<Uint8Array> {
    this.#hashes ??= await this.#host.loadHashes(this);
    return this.#hashes;
  }

  /** What is known of it while an origin still receives it; undefined: all. */
  get growth(): Growth | undefined {
    return undefined;
  }

  get complete(): boolean {
    return this.#state === 'complete';
  }

  /** Every piece is here, and the last step to be whole is lacking. */
  get unfinished(): boolean {
    return !this.complete && this.growth === undefined && !this.window && this.heldCount === this.pieces;
  }

  /** Removed or evicted: only what is pinned can still be read. */
  get gone(): boolean {
    return this.#state === 'gone';
  }

  get pinned(): boolean {
    return this.#pins > 0;
  }

  /** Whether it serves for a blob of this metainfo. */
  fits(meta: Metainfo): boolean {
    return this.complete || this.meta.root === meta.root;
  }

  /** Pieces held. */
  get heldCount(): number {
    return this.#bits?.count ?? this.pieces;
  }

  has(piece: number): boolean {
    if (this.#bits !== undefined) return this.#bits.has(piece);
    return piece >= 0 && piece < this.pieces;
  }

  /** Differs once a piece was found wrong, or came, since. */
  get changes(): number {
    return this.#changes;
  }

  get unreadCount(): number {
    return this.#unread.size;
  }

  /** Pieces that are not held because the disk would not read them: see `reread`. */
  get unread(): readonly number[] {
    return [...this.#unread];
  }

  /** A copy: bit (i & 7) of byte i >> 3. */
  haveBits(): Uint8Array {
    return (this.#bits ?? PieceBits.full(this.pieces)).bytes.slice();
  }

  /**
   * Verifies the slot and stores it. 'failed': `failure` says why. 'unwanted': there is no room for the piece any more.
   * The slot stays the caller's.
   */
  async write(piece: number, slot: Slot): Promise<Verdict> {
    assert(slot.length === this.#bytes.length(piece), `store: piece ${piece} does not have ${slot.length} bytes`);
    // All held, not complete: the disk refused the last step. The swarm brings a piece again, and we try again.
    if (this.has(piece) && this.#bits?.count !== this.pieces) return 'held';
    if (this.gone) return this.#fail(removed(this.digest));
    const unpin = this.pin();
    try {
      if (!(await this.#hasHash(piece))) return 'failed';
      let verdict = await this.#bytes.write(piece, slot);
      if (verdict instanceof IoFailure && verdict.errno === 'ENOSPC' && (await this.#host.makeRoom(slot.length))) {
        verdict = await this.#bytes.write(piece, slot);
      }
      if (verdict === 'corrupt') return verdict;
      if (this.window?.has(piece) === false) return 'unwanted';
      if (verdict instanceof IoFailure) return this.#refuse(verdict);
      return await this.#hold(piece);
    } finally {
      unpin();
    }
  }

  /** Fills the slot with the piece, verified. 'corrupt': it is held no longer. 'failed': not held, or `failure` says why. */
  async read(piece: number, slot: Slot): Promise<'ok' | 'corrupt' | 'failed'> {
    assert(slot.length === this.#bytes.length(piece), `store: piece ${piece} does not have ${slot.length} bytes`);
    const unpin = this.pin();
    try {
      if (this.has(piece) && !(await this.#hasHash(piece))) return 'failed';
      if (!this.has(piece))
        return this.#fail(this.revoked ?? new ApiError('UNAVAILABLE', `piece ${piece} of ${this.digest} is not held`));
      let verdict = await this.#bytes.read(piece, slot);
      // Once more: a wrong bit on the way from the medium is not a wrong bit on it. And again where a push brought the
      // blob anew meanwhile: what is said of its old file says nothing of the new one.
      for (let again = true; again && verdict !== 'ok'; ) {
        const { file } = this;
        verdict = await this.#bytes.read(piece, slot);
        again = this.file !== file;
      }
      if (isBad(verdict)) {
        if (verdict instanceof IoFailure) this.#unread.add(piece);
        this.#clear(piece, verdict instanceof IoFailure ? verdict.errno : 'wrong hash');
        return 'corrupt';
      }
      if (verdict instanceof IoFailure) {
        if (verdict.errno === 'ENOENT' && !this.gone) this.#host.missing(this);
        return this.#fail(refusal(this.digest, verdict.errno));
      }
      if (!this.gone) this.#kept.saw(piece, slot);
      this.#host.touched(this);
      return 'ok';
    } finally {
      unpin();
    }
  }

  /**
   * Looks on the disk for a piece that is not held: one that refused once may do better later, and a hint of what is
   * held may have been lost. True: its bytes match, and it is held.
   */
  async reread(piece: number, slot: Slot): Promise<boolean> {
    if (this.has(piece)) return true;
    if (this.gone) return false;
    const unpin = this.pin();
    try {
      if (!(await this.#hasHash(piece))) return false;
      const verdict = await this.#bytes.read(piece, slot);
      if (verdict === 'corrupt') this.#unread.delete(piece);
      return verdict === 'ok' && (this.has(piece) || (await this.#hold(piece)) === 'held');
    } finally {
      unpin();
    }
  }

  /**
   * As `read`, for a peer, which checks what it gets: a piece that we saw right not long ago, in a file that nobody
   * wrote to since, is not hashed again.
   */
  async readForPeer(piece: number, slot: Slot): Promise<'ok' | 'corrupt' | 'failed'> {
    if (!this.has(piece)) return await this.read(piece, slot);
    const unpin = this.pin();
    try {
      if (!(await this.#bytes.readTrusted(piece, slot))) return await this.read(piece, slot);
      this.#host.touched(this);
      return 'ok';
    } finally {
      unpin();
    }
  }

  /** A peer that got pieces on trust has left: if one of them was wrong, we are the ones to find out. */
  doubt(): void {
    this.#trust.forget();
  }

  /** Of a blob that passes through: the piece is held no longer, and its room is another's. */
  giveUp(piece: number): void {
    this.#bits?.clear(piece);
    this.#unread.delete(piece);
    this.window?.giveUp(piece);
  }

  /** Gives the slot of a held, verified piece away: its bytes may be lent until the memory is needed. */
  keep(piece: number, slot: Slot): void {
    if (this.gone || !this.has(piece)) slot.release();
    else this.#kept.keep(piece, slot);
  }

  /** The piece's bytes, verified when they came, counted on `share` until released; undefined: not in memory, or no room. */
  lend(piece: number, share: Share): Slot | undefined {
    return this.has(piece) ? this.#kept.lend(piece, share) : undefined;
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

  /** `stamp`: of its file, to which nobody writes any more; undefined: what was seen of it so far is not trusted. */
  becomeComplete(stamp: number | undefined, file: BlobFile = this.file): void {
    this.#state = 'complete';
    this.#bits = undefined;
    this.file = file;
    this.#trust.seal(stamp);
  }

  /** It came as an upload: each of its pieces was hashed on the way in. */
  becomeReceived(stamp: number | undefined, file: BlobFile): void {
    this.becomeComplete(stamp, file);
    this.#trust.sawAll(this.#host.nowMs());
  }

  /** No longer the store's. `unhold`: closes the file once the last pin goes. */
  becomeGone(unhold: (() => Promise<void>) | undefined): void {
    this.#state = 'gone';
    this.#unhold = unhold;
    this.#kept.forget();
    if (this.#pins === 0) this.#letGo();
  }

  /** It is not its digest's: who has it pinned reads no further either. */
  becomeRevoked(why: ApiError): void {
    this.revoked = why;
    this.#bits = new PieceBits(this.pieces);
    this.failure = why;
    this.becomeGone(undefined);
  }

  /** A piece came by the store's own hand, hashed on the way to the disk. */
  becomeHeld(piece: number): void {
    this.#bits?.set(piece);
    this.#trust.saw(piece, this.#host.nowMs());
    this.#changes += 1;
    this.#unread.delete(piece);
  }

  /**
   * Of its file only the first `bytes` are there, or not even the list of piece hashes can be believed. What can still
   * be verified is held; what cannot be now (its hash is missing) is looked at again once the list is here.
   */
  becomeDamaged(bytes: number, why: string): void {
    if (this.gone) return;
    this.#bits = heldWithin(this, bytes, this.#unread);
    this.#changes += 1;
    this.#state = 'partial';
    this.#trust.forget();
    this.#host.degraded(this, undefined, why);
  }

  /** The list of piece hashes, checked against the root; undefined: it is read when it is wanted. */
  takeHashes(hashes: Uint8Array | undefined): void {
    this.#hashes = hashes;
  }

  get hashesLoaded(): boolean {
    return this.#hashes !== undefined;
  }

  // ---- within ----------------------------------------------------------------------------------

  #letGo(): void {
    const unhold = this.#unhold;
    this.#unhold = undefined;
    unhold?.().catch(() => undefined); // nobody can be told, and nothing depends on it
  }

  /** False: the hash is not known yet, or the list cannot be had, and `failure` says so. */
  async #hasHash(piece: number): Promise<boolean> {
    try {
      const hashes = this.#hashes ?? (await this.listed());
      return hashes.length >= (piece + 1) * hashBytes;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.failure = error;
      return false;
    }
  }

  async #hold(piece: number): Promise<'held' | 'failed'> {
    if (this.gone) return this.#fail(removed(this.digest));
    this.#bits?.set(piece);
    this.#changes += 1;
    this.#unread.delete(piece);
    this.#host.changed(this);
    if (this.#bits?.count !== this.pieces || this.window !== undefined) return 'held';
    if (await this.#host.complete(this)) return 'held';
    // Not for this piece: others turned out to have decayed. They come again, and the last of them is asked for all.
    return this.has(piece) && this.heldCount < this.pieces ? 'held' : 'failed';
  }

  #clear(piece: number, why: string): void {
    if (this.gone) return;
    this.#bits ??= PieceBits.full(this.pieces);
    this.#bits.clear(piece);
    this.#changes += 1;
    this.#state = 'partial';
    this.#trust.forget();
    this.#host.degraded(this, piece, why);
  }

  #refuse({ errno }: IoFailure): 'failed' {
    this.failure = refusal(this.digest, errno);
    this.#host.refused(this);
    return 'failed';
  }

  #fail(why: ApiError): 'failed' {
    this.failure = why;
    return 'failed';
  }
}
