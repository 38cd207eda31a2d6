/**
 * First seeding: each piece is given once before any is given twice. `blob.unsent` holds the pieces
 * that nobody else may have; a grant names one of those near the lowest, which suits readers in
 * order and costs others nothing. An origin starts with all of its pieces unsent; an agent adds a
 * piece that it gets while no neighbour is known to hold it.
 *
 * Several origins, who do not hear what agents hold, would each give every piece, and the same ones at about the same
 * time. So whoever takes a named piece tells its feeder which ones around it have been given already.
 *
 * Rule: a piece leaves `unsent` when a grant names it, or somebody says that it is elsewhere, and returns when that
 *   grant comes to nothing. What is wrongly taken for given is still granted, by the puller's choice.
 */

import type { Prng } from '../prng.ts';
import { add, firstFrom, has, remove } from './bits.ts';
import type { Blob } from './blob.ts';
import { elsewhereSpan, namedSpanGain, namedSpanMin, namedSpanShare } from './limits.ts';
import type { Sink, Source } from './links.ts';

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

/** Others hold these: they need not be given once more. */
export function isElsewhere(blob: Blob, pieces: ArrayLike<number>): void {
  const before = blob.unsentCount;
  for (let i = 0; i < pieces.length; i += 1) markSent(blob, pieces[i]!);
  blob.foundElsewhere += before - blob.unsentCount;
}

/** The piece to name in a grant to `sink`, taken out of the unsent; -1 where it may choose itself. */
export function nameFor(sink: Sink, prng: Prng): number {
  const { blob } = sink;
  if (blob.unsentCount === 0) return -1;
  const theirs = sink.edge.source;
  const first = firstFrom(blob.unsent, 0);
  const until = first + spanOf(blob);
  const lowest: number[] = [];
  for (let i = first; i >= 0 && (i < until || lowest.length === 0); i = firstFrom(blob.unsent, i + 1)) {
    if (blob.holders[i]! > 0) markSent(blob, i);
    else if (theirs === undefined || !theirs.all) lowest.push(i);
  }
  if (lowest.length === 0) return -1;
  const piece = lowest[prng.below(lowest.length)]!;
  markSent(blob, piece);
  return piece;
}

/** What is known to be given of the pieces around `piece`, which `source` named. */
export function givenAround({ blob }: Source, piece: number): number[] {
  const given: number[] = [];
  const until = Math.min(blob.pieces, piece + elsewhereSpan);
  for (let i = Math.max(0, piece - elsewhereSpan); i < until; i += 1) {
    if (i !== piece && (blob.holders[i]! > 0 || !has(blob.open, i))) given.push(i);
  }
  return given;
}

/** Readers in order find their window of the blob given, whatever else is. */
function spanOf({ pieces, foundElsewhere }: Blob): number {
  return Math.max(
    namedSpanMin,
    Math.min(namedSpanMin + namedSpanGain * foundElsewhere, Math.ceil(pieces / namedSpanShare)),
  );
}
