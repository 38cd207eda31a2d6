/**
 * The entry of a blob that an origin still receives from where it rests: ordinary but for its list of piece hashes, of
 * which a part is known. Once the whole list is known it is as any other entry, and the same object.
 *
 * Rule 1: a piece whose hash is not known is not held, is not written and is not read.
 * Rule 2: while it grows its metainfo has no root (`metainfoValid` is false), so that nobody can take a part of the list
 *   for the list.
 */

import type { Digest } from '../../../core/digest.ts';
import { type Growth, type Metainfo, pieceCount } from '../../../core/piece.ts';
import type { BlobFile } from '../layout.ts';
import { BlobEntry, type EntryHost } from '../pieces/entry.ts';
import { PieceBits } from '../pieces/remembered.ts';
import type { Window } from '../room/window.ts';
import { type BlobSize, GrowingList } from './list.ts';

export class GrowingEntry extends BlobEntry {
  /** More is known, or all of it, or a piece came by the store's own hand. */
  onGrown: ((piece?: number) => void) | undefined;
  #list: GrowingList | undefined;

  constructor(o: { host: EntryHost; digest: Digest; size: BlobSize; file: BlobFile; window?: Window }) {
    const { size, ...base } = o;
    const list = new GrowingList(size);
    super({ ...base, meta: { ...list.size, root: '' }, bits: new PieceBits(pieceCount(size)), hashes: list.hashes });
    this.#list = list;
  }

  override get growth(): Growth | undefined {
    return this.#list?.growth;
  }

  /** Hashes that are known; all of them once it is ordinary. */
  get known(): number {
    return this.#list?.known ?? this.pieces;
  }

  /** Whether a list that begins with `hashes` can be this blob's. */
  agrees(size: BlobSize, hashes: Uint8Array): boolean {
    const { length, pieceLength } = this.meta;
    return (
      this.#list !== undefined &&
      size.length === length &&
      size.pieceLength === pieceLength &&
      this.#list.agrees(hashes)
    );
  }

  /** More of the list is known: checked by the caller against what a tracker or an origin told. False: it contradicts what was known. */
  extend(hashes: Uint8Array): boolean {
    const before = this.known;
    if (this.#list === undefined) return true;
    if (!this.#list.extend(hashes)) return false;
    if (this.known === before) return true;
    this.takeHashes(this.#list.hashes);
    this.tellGrown();
    return true;
  }

  // ---- for the store only ----------------------------------------------------------------------

  /** The next bytes are in the file, and this is what they hash to. False: the piece had another hash before. */
  wrote(piece: number, hash: Uint8Array): boolean {
    const list = this.#list;
    if (list === undefined) return true;
    if (piece < list.known && Buffer.compare(list.hashOf(piece), hash) !== 0) return false;
    if (piece === list.known) list.push(hash);
    this.takeHashes(list.hashes);
    this.becomeHeld(piece);
    this.onGrown?.(piece);
    return true;
  }

  /** Its list is whole, and checked against its root. */
  becomeOrdinary(meta: Metainfo, hashes: Uint8Array): void {
    this.#list = undefined;
    this.meta = meta;
    this.takeHashes(hashes);
  }

  /** After everything that makes it ordinary has been done. */
  tellGrown(): void {
    this.onGrown?.();
  }
}
