/**
 * The piece policy, and all of it: which piece a grant is used for.
 *
 * 1. The piece that a local reader stands at, if nobody sends it yet.
 * 2. A piece that neighbours wish for, while no more than a few such ones are on their way.
 * 3. The rarest in a reader's window: an eighth of the blob ahead of it, within bounds in bytes.
 * 4. The rarest anywhere.
 * In a window the lowest first where the choice helps nobody else: no neighbour pulls from us, and
 * all that we pull from hold everything. Then pieces come as they are read.
 * Among equally rare ones any: the search starts at a random piece, so that peers that start
 * together do not choose alike. Outside of windows it looks at a bounded sample.
 *
 * Pure: reads the blob and the source, changes nothing.
 */

import type { Prng } from '../../prng.ts';
import { errandsMax, rarestSample } from '../limits.ts';
import { firstFrom, has } from '../records/bits.ts';
import { openCountTo, openTo } from '../records/questions.ts';
import type { Blob, Source } from '../records/records.ts';
import type { PolicyConfig } from '../types.ts';

/** The piece to ask `source` for, or -1 where it has nothing that we lack and do not fetch. */
export function choosePiece(source: Source, policy: PolicyConfig, prng: Prng): number {
  const { blob } = source;
  if ((source.all ? openCountTo(source) : source.count) === 0) return -1;
  const { readers } = blob.pulling;
  const open = openTo(source);
  const errand = blob.wishing ? errandFor(source) : -1;
  if (readers.length > 0) {
    const first = readers.length === 1 ? 0 : prng.below(readers.length);
    for (let i = 0; i < readers.length; i += 1) {
      const { at, end } = readers[(first + i) % readers.length]!;
      if (at < Math.min(end, blob.pieces) && has(open, at) && source.holds(at)) return at;
    }
    if (errand >= 0) return errand;
    const window = windowPieces(blob, policy);
    for (let i = 0; i < readers.length; i += 1) {
      const { at, end } = readers[(first + i) % readers.length]!;
      const until = Math.min(end, at + window, blob.known);
      if (at >= until) continue;
      const piece = source.all && alone(blob) ? lowest(source, at, until) : rarest(source, at, until, prng);
      if (piece >= 0) return piece;
    }
  }
  return errand >= 0 ? errand : rarest(source, 0, blob.known, prng);
}

/** What a neighbour wishes for and `source` has, while few such pieces are on their way. */
function errandFor(source: Source): number {
  const { blob } = source;
  let found = -1;
  let underway = 0;
  for (const { wishes } of blob.feeding.sinks) {
    for (const { piece } of wishes) {
      // What is not in scope is on its way from nobody, and none of ours to fetch.
      if (!has(blob.pulling.open, piece)) underway += !has(blob.held, piece) && blob.inScope(piece) ? 1 : 0;
      else if (found < 0 && has(openTo(source), piece) && source.holds(piece)) found = piece;
    }
  }
  return underway < errandsMax ? found : -1;
}

function alone({ feeding: { sinks }, pulling: { sources } }: Blob): boolean {
  if (sinks.length > 0 || sources.length === 0) return false;
  for (let i = 0; i < sources.length; i += 1) if (!sources[i]!.all) return false;
  return true;
}

/** The lowest open piece in [from, to), of a source that holds everything. */
function lowest(source: Source, from: number, to: number): number {
  const piece = firstFrom(openTo(source), from);
  return piece < to ? piece : -1;
}

/** How far ahead of a reader its window reaches. */
export function windowPieces(blob: Blob, policy: PolicyConfig): number {
  const bytes = Math.min(policy.readWindowBytesMax, Math.max(policy.readWindowBytesMin, blob.meta.length / 8));
  return Math.max(1, Math.ceil(bytes / blob.meta.pieceLength));
}

/** The rarest open piece of `source` in [from, to), looking at no more than a sample of them. */
function rarest(source: Source, from: number, to: number, prng: Prng): number {
  const { holders, holdings } = source.blob.pulling;
  const { bits: theirs, places } = holdings;
  const { all, place } = source;
  const open = openTo(source);
  // A piece that only this source holds cannot be beaten.
  const floor = all ? 0 : 1;
  const start = from + prng.below(to - from);
  let best = -1;
  let bestHolders = 256;
  let looks = rarestSample;
  for (let lap = 0; lap < 2; lap += 1) {
    const low = lap === 0 ? start : from;
    const high = lap === 0 ? to : start;
    const last = (high - 1) >> 5;
    for (let w = low >> 5; w <= last; w += 1) {
      let word = open[w]!;
      if (word !== 0 && !all) word &= theirs[w * places + place]!;
      if (word === 0) continue;
      if (w === low >> 5) word &= -1 << (low & 31);
      if (w === last && (high & 31) !== 0) word &= (1 << (high & 31)) - 1;
      while (word !== 0) {
        const bit = word & -word;
        const piece = (w << 5) + 31 - Math.clz32(bit);
        word ^= bit;
        const count = holders[piece]!;
        if (count < bestHolders) {
          bestHolders = count;
          best = piece;
          if (count <= floor) return best;
        }
        looks -= 1;
        if (looks === 0) return best;
      }
    }
  }
  return best;
}
