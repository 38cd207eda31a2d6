/**
 * A piece-hash list that grows: its first hashes are known, the others are not yet.
 *
 * Rule 1: what was known stays as it was: a list that says otherwise is refused.
 * Rule 2: the last hash is never among them: with it the list is whole, and an ordinary one.
 */

import { assert } from '../../../core/assert.ts';
import { type Growth, hashBytes, pieceCount } from '../../../core/piece.ts';
import { blake3Hex, sameBytes } from '../../workers/hash.ts';

export type BlobSize = { readonly length: number; readonly pieceLength: number };

export class GrowingList {
  readonly size: BlobSize;
  readonly #all: Uint8Array;
  #known = 0;
  /** Of the first `known` hashes; made when it is asked for. */
  #root: { readonly known: number; readonly hex: string } | undefined;

  constructor(size: BlobSize) {
    this.size = { length: size.length, pieceLength: size.pieceLength };
    this.#all = new Uint8Array(pieceCount(size) * hashBytes);
  }

  /** Hashes that are known. */
  get known(): number {
    return this.#known;
  }

  /** These, 32 bytes each: a view. */
  get hashes(): Uint8Array {
    return this.#all.subarray(0, this.#known * hashBytes);
  }

  get growth(): Growth {
    if (this.#root?.known !== this.#known) this.#root = { known: this.#known, hex: blake3Hex(this.hashes) };
    return { ...this.size, known: this.#known, root: this.#root.hex };
  }

  /** Whether the list that begins with `hashes` can be this one, as far as both are known. */
  agrees(hashes: Uint8Array): boolean {
    const bytes = Math.min(hashes.length, this.#known * hashBytes);
    return sameBytes(this.#all.subarray(0, bytes), hashes.subarray(0, bytes));
  }

  /** `hashes`: the list from its first on, as far as it is known now. False: it is not this one, and nothing changes. */
  extend(hashes: Uint8Array): boolean {
    assert(hashes.length % hashBytes === 0 && hashes.length < this.#all.length, 'growing: not a part of the list');
    if (!this.agrees(hashes)) return false;
    const from = this.#known * hashBytes;
    if (hashes.length > from) this.#all.set(hashes.subarray(from), from);
    this.#known = Math.max(this.#known, hashes.length / hashBytes);
    return true;
  }

  /** One more is known. */
  push(hash: Uint8Array): void {
    const at = this.#known * hashBytes;
    assert(at + 2 * hashBytes <= this.#all.length, 'growing: the last hash is withheld');
    this.#all.set(hash, at);
    this.#known += 1;
  }

  hashOf(piece: number): Uint8Array {
    return this.#all.subarray(piece * hashBytes, (piece + 1) * hashBytes);
  }
}
