/**
 * First seeding: each piece is given once before any is given twice. `blob.unsent` holds the pieces
 * that nobody else may have; a grant names one of the lowest few of them, which suits readers in
 * order and costs others nothing. An origin starts with all of its pieces unsent; an agent adds a
 * piece that it gets while no neighbour is known to hold it.
 *
 * Rule: a piece leaves `unsent` when a grant names it, and returns when that grant comes to nothing.
 */

import type { Prng } from '../prng.ts';
import { add, firstFrom, has, remove } from './bits.ts';
import type { Blob } from './blob.ts';
import { namedSample } from './limits.ts';
import type { Sink } from './links.ts';

export function markUnsent(blob: Blob, piece: number): void {
  if (has(blob.unsent, piece)) return;
  add(blob.unsent, piece);
  blob.unsentCount += 1;
}

/** Somebody else has it, or it is not ours to give any more. */
export function markSent(blob: Blob, piece: number): void {
  if (blob.unsentCount === 0 || !has(blob.unsent, piece)) return;
  remove(blob.unsent, piece);
  blob.unsentCount -= 1;
}

/** The piece to name in a grant to `sink`, taken out of the unsent; -1 where it may choose itself. */
export function nameFor(sink: Sink, prng: Prng): number {
  const { blob } = sink;
  if (blob.unsentCount === 0) return -1;
  const theirs = sink.edge.source;
  const lowest: number[] = [];
  for (let i = firstFrom(blob.unsent, 0); i >= 0 && lowest.length < namedSample; i = firstFrom(blob.unsent, i + 1)) {
    if (blob.holders[i]! > 0) markSent(blob, i);
    else if (theirs === undefined || !theirs.all) lowest.push(i);
  }
  if (lowest.length === 0) return -1;
  const piece = lowest[prng.below(lowest.length)]!;
  markSent(blob, piece);
  return piece;
}
