/**
 * First seeding: each piece is given once before any is given twice. `unsent` holds the pieces
 * that nobody else may have; a grant names one of those near the lowest, which suits readers in
 * order and costs others nothing. An origin starts with all of its pieces unsent; an agent adds a
 * piece that it gets while no neighbour is known to hold it.
 *
 * What was given to a host that left before it had everything may be nowhere now: it is unsent again. Otherwise it would
 * come only after everything else had been given once (a reader waited 2 to 4 s for its first byte of 1 GiB). So is what was
 * given to one that had everything and comes back for it: three agents that had made room for other blobs had nothing from
 * the origin but what it gives each half a second to whom others send (2 to 5 s for 128 MiB, 0.7 now).
 *
 * Several origins, who do not hear what agents hold, would each give every piece, and the same ones at about the same
 * time. So whoever takes a named piece tells its feeder which ones around it have been given already.
 *
 * A piece that the puller wishes for (wishes.ts) is named before any other. One that was given already is with somebody
 * who hands it on: it is named again only to who has waited for that, within a share of the uplink.
 *
 * Rule 1: a piece leaves the unsent when a grant names it, or two neighbours say that it is elsewhere, and returns when
 *   that grant comes to nothing, or whoever got it leaves while it lacks others. What is wrongly taken for given is still granted, by the puller's choice.
 * Rule 2: what one neighbour alone said is named last. It may lie: one that was believed made 30 hosts take 2.4 x the
 *   bound, since an origin that has given everything leaves the rest to peers.
 */

import { wishHopsMax } from '../../wire/limits.ts';
import {
  elsewhereSpan,
  namedSpanGain,
  namedSpanMin,
  namedSpanShare,
  wishAheadMax,
  wishPatienceMs,
  wishPatienceMsMax,
  wishTwiceBytesMax,
  wishTwiceShare,
} from '../limits.ts';
import { add, bits, firstFrom, has, remove, type SeenBits } from '../records/bits.ts';
import type { Blob, Sink } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { OurFeedingBlob, OurSink, OurUplink } from './ours.ts';

/** The blob is ready: what of it is to be given by name. */
export function beginUnsent(state: State, blob: Blob): void {
  const ours = blob.feeding as OurFeedingBlob;
  const origin = state.config.self.role === 'origin';
  ours.doubted = bits(blob.pieces);
  ours.unsent = origin ? blob.held.slice() : bits(blob.pieces);
  ours.unsentCount = origin ? blob.heldCount : 0;
}

export function markUnsent(blob: Blob, piece: number): void {
  const ours = blob.feeding as OurFeedingBlob;
  if (has(ours.unsent, piece) || has(ours.doubted, piece)) return;
  add(ours.unsent, piece);
  ours.unsentCount += 1;
}

/** Somebody else has it, or it is not ours to give any more. Whether it had been unsent. */
export function markSent(blob: Blob, piece: number): boolean {
  const ours = blob.feeding as OurFeedingBlob;
  if (ours.unsentCount === 0) return false;
  if (has(ours.unsent, piece)) remove(ours.unsent, piece);
  else if (has(ours.doubted, piece)) remove(ours.doubted, piece);
  else return false;
  ours.unsentCount -= 1;
  return true;
}

/** The piece is not here any more, and so not ours to give. */
export function loses(blob: Blob, piece: number): void {
  blob.lose(piece);
  markSent(blob, piece);
}

/** The puller leaves. If it lacks something, nobody may have got what it was given first; if not, that is with it. */
export function takeBack({ blob, count, given, edge }: Sink): void {
  if (count > 0) return nowhere(blob, given);
  const { givenTo } = blob.feeding as OurFeedingBlob;
  if (given.length > 0 && givenTo.size < blob.pieces) givenTo.set(edge.peer.node, given);
}

/** It wanted nothing more when it left, and wants something again: it has it no longer, as after it made room. */
export function cameBack({ blob, edge }: Sink): void {
  const { givenTo } = blob.feeding as OurFeedingBlob;
  const given = givenTo.get(edge.peer.node);
  if (given === undefined) return;
  givenTo.delete(edge.peer.node);
  nowhere(blob, given);
}

function nowhere(blob: Blob, given: readonly number[]): void {
  for (const piece of given) if (blob.holds(piece) && blob.pulling.holders[piece] === 0) markUnsent(blob, piece);
}

/** The neighbour on `link` says that others hold these. Who has gone since is no witness: it may be the same one again. */
export function isElsewhere(state: State, { blob, link: { no } }: Sink, pieces: ArrayLike<number>): void {
  const ours = blob.feeding as OurFeedingBlob;
  if (ours.tellers.length === 0) ours.tellers = new Int32Array(blob.pieces);
  for (let i = 0; i < pieces.length; i += 1) {
    const piece = pieces[i]!;
    if (has(ours.unsent, piece)) {
      remove(ours.unsent, piece);
      add(ours.doubted, piece);
      ours.tellers[piece] = no;
      ours.foundElsewhere += 1;
    } else if (has(ours.doubted, piece)) {
      if (!state.graph.links.has(ours.tellers[piece]!)) ours.tellers[piece] = no;
      else if (ours.tellers[piece] !== no) markSent(blob, piece);
    }
  }
}

/** The piece to name in a grant to `sink`, taken out of the unsent; -1 where it may choose itself. */
export function nameFor(state: State, sink: Sink): number {
  const { blob } = sink;
  const { unsent, doubted, unsentCount } = blob.feeding;
  const wish = wishFor(state, sink);
  if (wish >= 0) {
    if (!markSent(blob, wish)) (state.up as OurUplink).twiceBytes -= blob.bytes(wish);
    return wish;
  }
  if (unsentCount === 0 || asksAgent(state, sink) || crosses(sink)) return -1;
  if (sink.choosy) {
    (sink as OurSink).choosy = false;
    return -1;
  }
  const theirs = sink.edge.source;
  // What a reader that goes on from elsewhere waits for has been given to others: then what comes next for it.
  const after = goesOn(sink) ? firstFrom(unsent, sink.wishes[0]!.piece) : -1;
  const untold = after >= 0 && after < sink.knows ? after : lowestFor(sink, unsent);
  const from = untold >= 0 ? unsent : doubted;
  const first = untold >= 0 ? untold : lowestFor(sink, doubted);
  const until = first + spanOf(blob);
  const lowest: number[] = [];
  for (let i = first; i >= 0 && i < sink.knows && (i < until || lowest.length === 0); i = firstFrom(from, i + 1)) {
    if (blob.pulling.holders[i]! > 0) markSent(blob, i);
    else if (theirs?.all !== true) lowest.push(i);
  }
  if (lowest.length === 0) return -1;
  const piece = lowest[state.config.prng.below(lowest.length)]!;
  markSent(blob, piece);
  return piece;
}

/** Whether there is anything to name to it. What a puller's list does not reach yet is not. */
export function hasUnsent(sink: Sink): boolean {
  const { unsent, doubted, unsentCount } = sink.blob.feeding;
  if (unsentCount === 0 || crosses(sink)) return false;
  if (sink.knows === Infinity) return true;
  return lowestFor(sink, unsent) >= 0 || lowestFor(sink, doubted) >= 0;
}

/** In another zone, while we feed our own: what is given there has not been given here. It chooses itself what its zone lacks. */
export function crosses({ edge, blob }: Sink): boolean {
  return edge.peer.far && blob.feeding.sinks.some((sink) => !sink.edge.peer.far && sink.state === 'open');
}

/** -1: none. */
function lowestFor({ knows }: Sink, set: SeenBits): number {
  const lowest = firstFrom(set, 0);
  return lowest < knows ? lowest : -1;
}

/** Whether a wish of the neighbour on `sink` can be granted by us now. */
export function isWished(state: State, sink: Sink): boolean {
  return sink.wishes.length > 0 && (asksAgent(state, sink) || wishFor(state, sink) >= 0);
}

/** When a wish can be granted that others should have granted by then; Infinity: there is none. */
export function wishDueMs(state: State, { blob, wishes }: Sink): number {
  if (state.config.self.role !== 'origin' || wishes.length === 0 || !mayTwice(state)) return Infinity;
  let dueMs = Infinity;
  for (const { piece, sinceMs } of wishes) if (blob.holds(piece)) dueMs = Math.min(dueMs, sinceMs + patienceMs(blob));
  return dueMs;
}

/** It wishes for what an agent, that we are, holds: it asks for that by itself, unless we name another one. */
function asksAgent({ config: { self } }: State, { blob, wishes }: Sink): boolean {
  return self.role !== 'origin' && wishes.some(({ piece }) => blob.holds(piece));
}

/** The first wish that a grant may name; -1: none. */
function wishFor(state: State, { blob, wishes, allowances }: Sink): number {
  const { unsent, doubted } = blob.feeding;
  for (const { piece, sinceMs } of wishes) {
    if (!blob.holds(piece) || allowances.some((allowance) => allowance.piece === piece)) continue;
    if (has(unsent, piece) || has(doubted, piece)) return piece;
    if (state.config.self.role === 'origin' && sinceMs + patienceMs(blob) <= state.nowMs && mayTwice(state))
      return piece;
  }
  return -1;
}

/** While pieces wait to be given for the first time, all of the swarm waits for the origin's uplink. */
function patienceMs({ feeding: { unsentCount } }: Blob): number {
  return unsentCount > 0 ? wishPatienceMsMax : wishPatienceMs;
}

/** Whether a piece may be given once more, for a wish. */
function mayTwice(state: State): boolean {
  const up = state.up as OurUplink;
  const perMs = up.meter.rate / wishTwiceShare;
  up.twiceBytes = Math.min(wishTwiceBytesMax, up.twiceBytes + (state.nowMs - up.twiceMs) * perMs);
  up.twiceMs = state.nowMs;
  return up.twiceBytes > 0;
}

/** Its own wishes are the next pieces of one reader, who will want more after them. */
function goesOn({ wishes }: Sink): boolean {
  if (wishes.length < wishAheadMax) return false;
  const first = wishes[0]!.piece;
  return wishes.every(
    ({ piece, hops }, i) =>
      i >= wishAheadMax || (hops === wishHopsMax && piece >= first && piece < first + elsewhereSpan),
  );
}

/** Readers in order find their window of the blob given, whatever else is. */
function spanOf({ pieces, feeding: { foundElsewhere } }: Blob): number {
  return Math.max(
    namedSpanMin,
    Math.min(namedSpanMin + namedSpanGain * foundElsewhere, Math.ceil(pieces / namedSpanShare)),
  );
}
