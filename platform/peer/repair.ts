/** Entries of which the disk has lost something: whether they serve at all, and what else of them is bad. */

import { ApiError } from '../../core/contracts/errors.ts';
import { pieceBytes } from '../../core/piece.ts';
import type { BlobEntry } from '../store/entry.ts';
import type { Arena } from '../workers/arena.ts';

/** Whether the entry can be used: its hash list may turn out to be unreadable, which gives the entry up. */
export function usable(entry: BlobEntry): boolean {
  try {
    return entry.hashes.length >= 0 && !entry.gone;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return false;
  }
}

/** The pieces that the entry does not hold; of none, none. */
export function lacking(entry: BlobEntry | undefined): number[] {
  const pieces: number[] = [];
  for (let piece = 0; piece < (entry?.pieces ?? 0); piece++) if (entry?.has(piece) === false) pieces.push(piece);
  return pieces;
}

/**
 * Where one piece is bad, others may be: reads all that the entry believes to hold, so that what is bad is pulled
 * together, and not one piece after the other as readers come upon them. Stops where `bad` answers false.
 */
export async function inspect(entry: BlobEntry, arena: Arena, bad: (piece: number) => boolean): Promise<void> {
  for (let piece = 0; piece < entry.pieces && !entry.gone; piece++) {
    if (entry.has(piece)) await readOnce(entry, arena, piece);
    if (!entry.has(piece) && !bad(piece)) return;
  }
}

async function readOnce(entry: BlobEntry, arena: Arena, piece: number): Promise<void> {
  const slot = await arena.acquire('reader', pieceBytes(entry.meta, piece));
  try {
    await entry.read(piece, slot);
  } finally {
    slot.release();
  }
}
