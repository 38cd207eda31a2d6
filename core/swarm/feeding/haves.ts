/**
 * What our sinks are told that we have, and have no longer: in batches. One goes out havesEveryMs after the first thing
 * that it carries. Haves do not wait for it where a neighbour is idle and wants nothing that we have told it of, or
 * wishes for the piece.
 */

import { FEATURES } from '../../wire/frames.ts';
import type { Blob, Sink } from '../records/records.ts';
import { sinkAt } from '../records/sink.ts';
import type { State } from '../records/state.ts';
import { sayKnown } from './growing.ts';
import type { OurFeedingBlob, OurSink, OurUplink } from './ours.ts';

const nothing: readonly number[] = [];

/** `piece` is held from now on. */
export function announce(state: State, blob: Blob, piece: number): void {
  const ours = blob.feeding as OurFeedingBlob;
  if (ours.sinks.length === 0) {
    ours.freshBase += 1;
    return;
  }
  if (ours.fresh.length === 0) {
    (state.up as OurUplink).freshOf.push(blob);
    state.batch();
  }
  ours.fresh.push(piece);
  const rows = state.up.sinks.numbers;
  for (let i = 0; i < ours.sinkRows.length; i += 1) {
    const row = ours.sinkRows[i]!;
    if (rows[row + sinkAt.wishes] === 0 && rows[row + sinkAt.count]! > 0) continue;
    const sink = ours.sinks[i]!;
    if (sink.wishes.some((wish) => wish.piece === piece)) tell(state, sink);
    else if (sink.count === 0 && sink.state === 'open' && piece < sink.knows && idles(sink, piece)) tell(state, sink);
  }
}

/** Nothing is on its way to the neighbour, and nothing shows that it has the piece. */
function idles({ link: { puller }, edge: { source } }: Sink, piece: number): boolean {
  if (puller.inBytes > 0 || puller.outstanding > 0) return false;
  return source === undefined || !source.holds(piece);
}

/** `piece` was given up. */
export function withdraw(state: State, blob: Blob, piece: number): void {
  const ours = blob.feeding as OurFeedingBlob;
  if (ours.sinks.length === 0) return;
  if (ours.gone.length === 0) {
    (state.up as OurUplink).goneOf.push(blob);
    state.batch();
  }
  ours.gone.push(piece);
}

/** Sends every batch. */
export function flushHaves(state: State): void {
  const up = state.up as OurUplink;
  for (const blob of up.goneOf) flushGone(state, blob);
  up.goneOf.length = 0;
  for (const blob of up.freshOf) flushFresh(state, blob);
  up.freshOf.length = 0;
}

/** Who heard of these pieces and would ask for them in vain hears that they are gone. */
function flushGone(state: State, blob: Blob): void {
  const ours = blob.feeding as OurFeedingBlob;
  const pieces = [...new Set(ours.gone)].filter((piece) => !blob.holds(piece)).sort((a, b) => a - b);
  ours.gone = [];
  if (pieces.length === 0) return;
  for (const { link, state: at, swarm } of ours.sinks)
    if (at === 'open' && (link.features & FEATURES.gone) !== 0) state.send(link, { kind: 'gone', swarm, pieces });
}

function flushFresh(state: State, blob: Blob): void {
  const ours = blob.feeding as OurFeedingBlob;
  // Sinks that were told in part first, for places in the log count only while it is in order.
  for (const sink of ours.sinks) if (sink.told > ours.freshBase) tell(state, sink);
  const end = ours.freshBase + ours.fresh.length;
  const fresh = stillHeld(blob, ours.fresh);
  const all = blob.complete;
  fresh.sort((a, b) => a - b);
  for (const sink of ours.sinks) {
    if (sink.told >= end || sink.state !== 'open') continue;
    (sink as OurSink).told = end;
    sayKnown(state, sink);
    if (!all && (fresh.length === 0 || isOldNews(sink, fresh))) continue;
    state.send(sink.link, { kind: 'haves', swarm: sink.swarm, pieces: all ? nothing : fresh, all });
  }
  ours.freshBase = end;
  ours.fresh = [];
}

/** Without what has been given up meanwhile, where there is no room for the blob. */
function stillHeld(blob: Blob, pieces: number[]): number[] {
  return blob.pulling.scope === undefined ? pieces : pieces.filter((piece) => blob.holds(piece));
}

/** Whether the neighbour is known to hold all of this itself: then it gains nothing by hearing of it. */
function isOldNews({ edge: { source } }: Sink, pieces: readonly number[]): boolean {
  if (source === undefined || source.state !== 'open') return false;
  for (let i = 0; i < pieces.length; i += 1) if (!source.holds(pieces[i]!)) return false;
  return true;
}

/** The sink waits for `piece`, which we hold: it hears so at once. */
export function tellOf(state: State, sink: Sink, piece: number): void {
  const { fresh, freshBase } = sink.blob.feeding;
  if (fresh.includes(piece, Math.max(0, sink.told - freshBase))) tell(state, sink);
}

/** Everything that this sink has not been told yet. */
function tell(state: State, sink: Sink): void {
  const { blob } = sink;
  const { fresh, freshBase } = blob.feeding;
  const end = freshBase + fresh.length;
  if (sink.state !== 'open' || sink.told === end) return;
  const all = blob.complete;
  const pieces = all ? nothing : stillHeld(blob, fresh.slice(sink.told - freshBase)).sort((a, b) => a - b);
  (sink as OurSink).told = end;
  sayKnown(state, sink);
  state.send(sink.link, { kind: 'haves', swarm: sink.swarm, pieces, all });
}
