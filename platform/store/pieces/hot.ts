/**
 * Pieces of small blobs that are read again and again, in memory: lent to readers and peers in place of a read from the
 * disk and its hash.
 *
 * Rule 1: bytes come in only from a read that was verified a moment ago, and are told apart by the root of their blob's
 *   list of piece hashes: what is lent is right, whatever has become of the file.
 * Rule 2: a piece comes in when it is read a second time while it is remembered that it was read; when there is no room,
 *   what was lent since it was looked at last stays once more. So one pass over everything takes nothing's place.
 * Rule 3: bytes that somebody has count until they are given back, also of a piece that has gone: the bound holds.
 * Rule 4: a blob that leaves the store is forgotten at once.
 */

import { Bug } from '../../../core/assert.ts';
import type { Digest } from '../../../core/digest.ts';
import { unitBytes } from '../../../core/piece.ts';
import type { SharedBytes, Slot } from '../../workers/arena.ts';

/** Of larger blobs nothing is kept: their readers wait for the disk a few times, and take a long time anyway. */
export const hotBlobBytesMax = 1024 * 1024;
/** Pieces that are kept; each costs some 400 bytes beside its own. */
export const hotPiecesMax = 16_384;
/** Pieces of which it is remembered that they were read; each costs some 200 bytes. */
const readMax = 16_384;

/** Pieces of a blob; they have a unit or more each. */
const blobPiecesMax = hotBlobBytesMax / unitBytes;

/** Whose piece it is. */
export type HotBlob = {
  readonly digest: Digest;
  readonly meta: { readonly root: string; readonly length: number };
};

type Held = { readonly bytes: SharedBytes; readonly root: string; lent: boolean; loans: number; gone: boolean };

export class HotPieces {
  readonly maxBytes: number;
  /** How often a piece was lent. */
  lentCount = 0;
  #bytes = 0;
  /** In the order in which they are looked at when room is needed. */
  readonly #held = new Map<string, Held>();
  readonly #read = new Set<string>();

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Of what is kept, and of what somebody still has. */
  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#held.size;
  }

  /** The piece, until its release; undefined: it is not here. */
  lend({ digest, meta }: HotBlob, piece: number): Slot | undefined {
    const held = this.#held.get(keyOf(digest, piece));
    if (held === undefined || held.root !== meta.root) return undefined;
    held.lent = true;
    held.loans += 1;
    this.lentCount += 1;
    return new HotLoan(held.bytes, () => {
      held.loans -= 1;
      if (held.gone && held.loans === 0) this.#bytes -= held.bytes.length;
    });
  }

  /** It was read into `slot` and verified; the slot stays the caller's. */
  saw({ digest, meta }: HotBlob, piece: number, slot: Slot): void {
    // While a blob grows, its root is none.
    if (meta.length > hotBlobBytesMax || piece >= blobPiecesMax || meta.root === '') return;
    const key = keyOf(digest, piece);
    const held = this.#held.get(key);
    if (held?.root === meta.root) return;
    if (held !== undefined) this.#drop(key, held);
    if (!this.#read.delete(key)) return this.#remember(key);
    if (!this.#makeRoom(slot.length)) return;
    const bytes = new Uint8Array(new SharedArrayBuffer(slot.length));
    let at = 0;
    for (const part of slot.parts()) {
      bytes.set(part, at);
      at += part.length;
    }
    this.#held.set(key, { bytes, root: meta.root, lent: false, loans: 0, gone: false });
    this.#bytes += bytes.length;
  }

  forget(digest: Digest): void {
    for (let piece = 0; piece < blobPiecesMax; piece += 1) {
      const key = keyOf(digest, piece);
      const held = this.#held.get(key);
      if (held !== undefined) this.#drop(key, held);
      this.#read.delete(key);
    }
  }

  #remember(key: string): void {
    this.#read.add(key);
    for (const oldest of this.#read) {
      if (this.#read.size <= readMax) return;
      this.#read.delete(oldest);
    }
  }

  /** False: all that is here is being used, or was lent since it was looked at last. */
  #makeRoom(bytes: number): boolean {
    const fits = (): boolean => this.#bytes + bytes <= this.maxBytes && this.#held.size < hotPiecesMax;
    // Once round: what goes to the end is come across again.
    let looks = this.#held.size;
    for (const [key, held] of this.#held) {
      if (fits() || looks === 0) break;
      looks -= 1;
      if (!held.lent && held.loans === 0) this.#drop(key, held);
      else {
        held.lent = false;
        this.#held.delete(key);
        this.#held.set(key, held);
      }
    }
    return fits();
  }

  #drop(key: string, held: Held): void {
    this.#held.delete(key);
    held.gone = true;
    if (held.loans === 0) this.#bytes -= held.bytes.length;
  }
}

/** A piece as one borrower has it. */
class HotLoan implements Slot {
  /** It is none of the arena's: no worker gets it. */
  readonly no = -1;
  readonly length: number;
  readonly #bytes: SharedBytes;
  readonly #returned: () => void;
  #open = true;

  constructor(bytes: SharedBytes, returned: () => void) {
    this.length = bytes.length;
    this.#bytes = bytes;
    this.#returned = returned;
  }

  parts(): SharedBytes[] {
    const parts: SharedBytes[] = [];
    for (let at = 0; at < this.length; at += unitBytes) parts.push(this.#bytes.subarray(at, at + unitBytes));
    return parts;
  }

  window(offset: number): SharedBytes {
    return this.#bytes.subarray(offset, Math.min(this.length, (Math.floor(offset / unitBytes) + 1) * unitBytes));
  }

  release(): void {
    if (!this.#open) throw new Bug('a loan of a hot piece was released twice');
    this.#open = false;
    this.#returned();
  }
}

function keyOf(digest: Digest, piece: number): string {
  return `${piece} ${digest}`;
}
