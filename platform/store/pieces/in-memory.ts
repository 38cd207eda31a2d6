/**
 * Pieces of a blob that are in no file, as no disk takes them now: verified both ways like those that are.
 *
 * Rule: on the calling thread. It is for a cache whose disk is full or broken, and bounded by who makes it (room/).
 */

import type { Slot } from '../../workers/arena.ts';
import { pieceHash, sameBytes } from '../../workers/hash.ts';
import { IoFailure } from '../../workers/piece-io.ts';

export class InMemory {
  readonly #pieces = new Map<number, Uint8Array>();

  /** All of a blob. */
  static of(bytes: Uint8Array, { pieceLength }: { readonly pieceLength: number }): InMemory {
    const memory = new InMemory();
    for (let at = 0; at < bytes.length; at += pieceLength)
      memory.#pieces.set(at / pieceLength, bytes.slice(at, at + pieceLength));
    return memory;
  }

  /** As PieceIo.verifyWrite. */
  write(piece: number, slot: Slot, check: Check): 'held' | 'corrupt' {
    if (!right(slot, check)) return 'corrupt';
    this.#pieces.set(piece, Buffer.concat(slot.parts()));
    return 'held';
  }

  /** As PieceIo.readVerify. */
  read(piece: number, slot: Slot, check: Check): 'ok' | 'corrupt' | IoFailure {
    const bytes = this.#pieces.get(piece);
    if (bytes === undefined) return new IoFailure('ENODATA');
    let at = 0;
    for (const part of slot.parts()) {
      part.set(bytes.subarray(at, at + part.length));
      at += part.length;
    }
    return right(slot, check) ? 'ok' : 'corrupt';
  }

  giveUp(piece: number): void {
    this.#pieces.delete(piece);
  }
}

type Check = { readonly expected: Uint8Array; readonly folded: boolean };

function right(slot: Slot, { expected, folded }: Check): boolean {
  return sameBytes(pieceHash(slot.parts(), folded), expected);
}
