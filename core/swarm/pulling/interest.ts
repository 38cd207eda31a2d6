/**
 * Keeps, piece by piece, what is open and how much each source has of it, so that nobody ever has
 * to count: a feeder's `count` is the number of its pieces that we lack and do not fetch.
 *
 * Rule 1: every change of `open`, `bits`, `holders` and `count` happens here.
 * Rule 2: a source whose count leaves or reaches zero is queued for a Wants (news.ts sends it).
 */

import { assert } from '../../assert.ts';
import { grantsPerLinkMax, unprovenBytesMax, unprovenMax } from '../limits.ts';
import { add, full, has, ones, remove, size } from '../records/bits.ts';
import type { Blob } from '../records/blob.ts';
import type { Source } from '../records/links.ts';
import type { State } from '../records/state.ts';

/** Pieces that may be on their way from `source`: one that only grants holds up few, until it has sent some. */
export function trust({ blob, link }: Source): number {
  const few = Math.min(unprovenMax, Math.floor(unprovenBytesMax / blob.meta.pieceLength));
  return Math.min(grantsPerLinkMax, Math.max(1, few) + link.arrived);
}

/** Pieces that we would take from `source` now: what its feeder is told. */
export function wanted(source: Source): number {
  const { blob } = source;
  if (source.state !== 'open' || blob.stage !== 'ready' || blob.restsUntilMs > 0) return 0;
  return Math.min(trust(source) - source.flights.length, wantedOf(source));
}

function wantedOf(source: Source): number {
  const { blob } = source;
  const open = source.all ? blob.openCount : source.count;
  if (blob.late.length === 0) return open;
  let late = 0;
  for (const flight of blob.late) {
    if (flight.source !== source && holdsPiece(source, flight.piece)) late += 1;
  }
  return open + late;
}

export function holdsPiece(source: Source, piece: number): boolean {
  return source.all || (source.bits !== undefined && has(source.bits, piece));
}

/** Queues a Wants if its feeder believes the wrong thing about whether we want anything. */
export function review(state: State, source: Source): void {
  const count = wanted(source);
  if ((source.told === 0) === (count === 0)) return;
  if (source.told === 0) state.wantsUrgent = true;
  if (source.queued) return;
  source.queued = true;
  state.wants.push(source);
  state.batch();
}

export function reviewAll(state: State, blob: Blob): void {
  for (const source of blob.sources) review(state, source);
}

/** A piece that was open is on its way now. */
export function take(state: State, blob: Blob, piece: number): void {
  const w = piece >>> 5;
  const mask = 1 << (piece & 31);
  assert((blob.open[w]! & mask) !== 0, 'took a piece that is not open');
  blob.open[w]! &= ~mask;
  blob.openCount -= 1;
  if (blob.wishing) state.wishesMayChange(blob, blob.awaited.includes(piece));
  const { sources } = blob;
  for (let i = 0; i < sources.length; i += 1) {
    const source = sources[i]!;
    if (source.all) {
      if (blob.openCount === 0) review(state, source);
    } else if ((source.bits![w]! & mask) !== 0) {
      source.count -= 1;
      if (source.count === 0) review(state, source);
    }
  }
}

/** A piece that was on its way, held, or not in scope is lacking again. */
export function giveBack(state: State, blob: Blob, piece: number): void {
  if (!blob.pull || blob.stage !== 'ready' || has(blob.held, piece) || has(blob.open, piece)) return;
  if (!blob.inScope(piece)) return;
  add(blob.open, piece);
  blob.openCount += 1;
  if (blob.wishing) state.wishesMayChange(blob, false);
  for (const source of blob.sources) {
    if (source.all) {
      review(state, source);
    } else if (has(source.bits!, piece)) {
      source.count += 1;
      review(state, source);
    }
  }
}

/** The source holds these as well. Its pieces are within the blob: the caller checked. */
export function addHaves(state: State, source: Source, pieces: ArrayLike<number>): void {
  if (source.all) return;
  const { open, holders } = source.blob;
  const theirs = source.bits!;
  let count = source.count;
  for (let i = 0; i < pieces.length; i += 1) {
    const piece = pieces[i]!;
    const w = piece >>> 5;
    const mask = 1 << (piece & 31);
    if ((theirs[w]! & mask) !== 0) continue;
    theirs[w]! |= mask;
    holders[piece]! += 1;
    if ((open[w]! & mask) !== 0) count += 1;
  }
  source.count = count;
  if (source.blob.wishing) state.wishesMayChange(source.blob, false);
  if (source.told === 0 && count > 0) review(state, source);
}

/** From here on the source counts: its pieces are added to everybody's. */
export function join(state: State, source: Source): void {
  source.blob.sources.push(source);
  if (!source.all) shift(source, 1);
  source.count = source.all ? 0 : overlap(source);
  if (source.blob.wishing) state.wishesMayChange(source.blob, source.blob.astray);
  review(state, source);
}

/** The source no longer counts. */
export function leave(source: Source): void {
  const { sources } = source.blob;
  const at = sources.indexOf(source);
  if (at < 0) return;
  sources[at] = sources[sources.length - 1]!;
  sources.pop();
  if (!source.all) shift(source, -1);
  source.count = 0;
}

/** The source holds everything now. */
export function holdsAll(state: State, source: Source): void {
  if (source.all) return;
  shift(source, -1);
  source.all = true;
  source.bits = undefined;
  source.count = 0;
  if (source.blob.wishing) state.wishesMayChange(source.blob, false);
  review(state, source);
}

/** The source does not hold this piece after all. */
export function lacks(state: State, source: Source, piece: number): void {
  const { blob } = source;
  if (source.all) {
    source.all = false;
    source.bits = full(blob.pieces);
    shift(source, 1);
    source.count = blob.openCount;
  }
  if (!has(source.bits!, piece)) return;
  remove(source.bits!, piece);
  blob.holders[piece]! -= 1;
  if (has(blob.open, piece)) source.count -= 1;
  if (blob.wishing) state.wishesMayChange(blob, false);
  review(state, source);
}

/** Opens every piece that we lack: the blob is ready to be fetched. */
export function openLacking(blob: Blob): void {
  blob.heldCount = size(blob.held);
  if (!blob.pull) return;
  const all = full(blob.pieces);
  for (let w = 0; w < all.length; w += 1) blob.open[w] = all[w]! & ~blob.held[w]!;
  blob.openCount = blob.pieces - blob.heldCount;
  for (const source of blob.sources) if (!source.all) source.count = overlap(source);
}

function shift(source: Source, by: 1 | -1): void {
  const { holders } = source.blob;
  const theirs = source.bits!;
  for (let w = 0; w < theirs.length; w += 1) {
    let word = theirs[w]!;
    while (word !== 0) {
      const bit = word & -word;
      holders[(w << 5) + 31 - Math.clz32(bit)]! += by;
      word ^= bit;
    }
  }
}

function overlap(source: Source): number {
  const { open } = source.blob;
  const theirs = source.bits!;
  let count = 0;
  for (let w = 0; w < theirs.length; w += 1) count += ones(theirs[w]! & open[w]!);
  return count;
}
