/**
 * What this process remembers of a blob's pieces beside the disk: which are held, which it has seen to be right, not long
 * ago, and bytes that are still in memory.
 *
 * Rule 1: kept bytes are lent to readers and peers that want them now, in place of a read and another hash. A kept slot
 *   nobody uses is the arena's to take; a piece that went is simply read from the disk.
 * Rule 2: what was seen to be right need not be hashed again for a peer, which checks every piece that it receives.
 *   Readers never get a piece on trust.
 * Rule 3: trust ends by itself, within `trustMs`, so that what decays on the medium is found by us and
 *   not by the peers that get it; it ends at once where somebody wrote to the whole file, or where a
 *   peer left that was given such pieces (`forget`).
 * Rule 4: a file that still grows has no stamp: we write to it ourselves. It is sealed when it is whole.
 */

import type { Digest } from '../../../core/digest.ts';
import { type Metainfo, pieceBytes } from '../../../core/piece.ts';
import type { Arena, Share, Slot } from '../../workers/arena.ts';

/** Which pieces of a blob are held: bit (i & 7) of byte i >> 3, as on the wire. */
export class PieceBits {
  readonly bytes: Uint8Array;
  readonly size: number;
  #count = 0;

  /** Takes `from` where it has the right length; bits beyond the end are ignored. */
  constructor(size: number, from?: Uint8Array) {
    this.size = size;
    this.bytes = new Uint8Array(Math.ceil(size / 8));
    if (from?.length !== this.bytes.length) return;
    for (let i = 0; i < size; i += 1) if (((from[i >> 3] as number) >> (i & 7)) & 1) this.set(i);
  }

  static full(size: number): PieceBits {
    return new PieceBits(size, new Uint8Array(Math.ceil(size / 8)).fill(0xff));
  }

  get count(): number {
    return this.#count;
  }

  has(i: number): boolean {
    return i >= 0 && i < this.size && (((this.bytes[i >> 3] as number) >> (i & 7)) & 1) === 1;
  }

  set(i: number): void {
    if (this.has(i) || i < 0 || i >= this.size) return;
    this.bytes[i >> 3] = (this.bytes[i >> 3] as number) | (1 << (i & 7));
    this.#count += 1;
  }

  clear(i: number): void {
    if (!this.has(i)) return;
    this.bytes[i >> 3] = (this.bytes[i >> 3] as number) & ~(1 << (i & 7));
    this.#count -= 1;
  }
}

type Listed = {
  readonly pieces: number;
  readonly meta: Metainfo;
  readonly hashesLoaded: boolean;
  has(piece: number): boolean;
};

/** What is held of a blob of whose file the first `bytes` are there; those that cannot be verified now go to `unread`. */
export function heldWithin(entry: Listed, bytes: number, unread: Set<number>): PieceBits {
  const held = new PieceBits(entry.pieces);
  for (let piece = 0; piece < entry.pieces; piece += 1) {
    const there = piece * entry.meta.pieceLength + pieceBytes(entry.meta, piece) <= bytes;
    if (there && entry.hashesLoaded && entry.has(piece)) held.set(piece);
    else if (there) unread.add(piece);
  }
  return held;
}

/** What was right so long ago is hashed again. */
export const trustMs = 600_000;

export class Trust {
  readonly #pieces: number;
  /** What was seen in this half of `trustMs`, and in the one before. */
  #recent: PieceBits | undefined;
  #before: PieceBits | undefined;
  #half = 0;
  #stamp: number | undefined;

  constructor(pieces: number) {
    this.#pieces = pieces;
  }

  /** The piece was right just now. */
  saw(piece: number, nowMs: number): void {
    this.#turn(nowMs);
    this.#recent ??= new PieceBits(this.#pieces);
    this.#recent.set(piece);
  }

  sawAll(nowMs: number): void {
    this.#turn(nowMs);
    this.#recent = PieceBits.full(this.#pieces);
  }

  has(piece: number, nowMs: number): boolean {
    this.#turn(nowMs);
    return this.#recent?.has(piece) === true || this.#before?.has(piece) === true;
  }

  /** The file is whole and `stamp` is its state now, after all that we wrote. */
  seal(stamp: number | undefined): void {
    this.#stamp = stamp;
  }

  /** The whole file has this stamp now: with another one than before nothing of it is trusted. */
  check(stamp: number): void {
    if (stamp !== this.#stamp) this.forget();
    this.#stamp = stamp;
  }

  forget(): void {
    this.#recent = undefined;
    this.#before = undefined;
    this.#stamp = undefined;
  }

  #turn(nowMs: number): void {
    const half = Math.floor(nowMs / (trustMs / 2));
    if (half === this.#half) return;
    this.#before = half === this.#half + 1 ? this.#recent : undefined;
    this.#recent = undefined;
    this.#half = half;
  }
}

/** Pieces of small blobs that stay in memory longer than slots do (hot.ts). */
export type Hot = {
  lend(blob: Whose, piece: number): Slot | undefined;
  saw(blob: Whose, piece: number, slot: Slot): void;
  forget(digest: Digest): void;
};
type Whose = { readonly digest: Digest; readonly meta: Metainfo };

export class Kept {
  readonly #arena: Arena;
  readonly #hot: Hot | undefined;
  readonly #blob: Whose;
  readonly #slots = new Map<number, Slot>();

  constructor(o: { readonly arena: Arena; readonly hot: Hot | undefined; readonly blob: Whose }) {
    this.#arena = o.arena;
    this.#hot = o.hot;
    this.#blob = o.blob;
  }

  /** The piece was read into `slot` and is right. */
  saw(piece: number, slot: Slot): void {
    this.#hot?.saw(this.#blob, piece, slot);
  }

  /** The slot is the arena's from now on. */
  keep(piece: number, slot: Slot): void {
    if (this.#slots.has(piece)) return slot.release();
    this.#slots.set(piece, slot);
    this.#arena.keep(slot, () => this.#slots.delete(piece));
  }

  lend(piece: number, share: Share): Slot | undefined {
    const slot = this.#slots.get(piece);
    return slot === undefined ? this.#hot?.lend(this.#blob, piece) : this.#arena.lend(slot, share);
  }

  /** The blob is gone: what is lent stays good until it is released. */
  forget(): void {
    for (const slot of [...this.#slots.values()]) this.#arena.forget(slot);
    this.#slots.clear();
    this.#hot?.forget(this.#blob.digest);
  }
}
