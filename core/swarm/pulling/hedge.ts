/**
 * Late pieces. A piece in flight far beyond what its neighbour usually takes is late: the next
 * neighbour that has it and grants us something is asked for it as well, and the first arrival
 * cancels the other. Near the end, when nothing else is open, the measure is what neighbours
 * usually take, so that one slow uplink does not hold up the last piece. What an agent that has
 * never sent a piece lets stand is open again before that: at the end it would be in everybody's
 * way. A link on which nothing moves at all is closed.
 *
 * Rule: what is asked for twice stays under one percent of a blob's pieces (hedgeAllowed). What was given up and comes
 *   all the same is thrown away beyond that: at most the few pieces that an untried peer is trusted with.
 */

import { duplicatesFree, hedgesPerBlobMax } from '../limits.ts';
import { type Blob, type Flight, holdsPiece, type Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import { giveUp, late } from './flights.ts';
import { lateAfterMs, letsDown, moves, paceOf, stands, usualMs } from './trust.ts';
import { reviewAll } from './wants.ts';

/** Marks what is late, gives up what is hopeless, asks for the closing of links that are stuck. */
export function scanFlights(state: State): void {
  for (const blob of state.unfinished) scanBlob(state, blob);
  for (const link of state.graph.links.values()) {
    if (link.kind !== 'out') continue;
    moves(state, link);
    // Also of blobs that are whole by now: what was asked for twice holds memory until it has come.
    for (const source of link.sources) if (source.flights.length > 0) scanSource(state, source);
  }
}

function scanBlob(state: State, blob: Blob): void {
  const { sources, openCount, late: lates } = blob.pulling;
  const before = lates.length;
  const usual = openCount === 0 ? usualMs(blob) : Infinity;
  for (const { flights } of sources) {
    for (const flight of flights) {
      if (flight.state !== 'due') continue;
      if (state.nowMs - flight.sinceMs > lateAfterMs(flight, usual, state.config.policy)) late(flight);
    }
  }
  if (lates.length > before) reviewAll(state, blob);
}

function scanSource(state: State, source: Source): void {
  const { link, flights } = source;
  const { standing, hopeless, stuck, bytes } = paceOf(state, source);
  if (standing) stands(state, source, bytes);
  if (hopeless) {
    letsDown(link);
    for (const flight of flights) if (flight.state === 'due' || flight.state === 'late') giveUp(state, flight);
  }
  if (stuck) state.due.closings.push({ kind: 'slow', link, why: 'a piece made no progress' });
}

/** The late piece to ask `source` for; `standing`: only one that a reader stands at. */
export function lateFor(source: Source, standing: boolean): Flight | undefined {
  const { blob } = source;
  const { late: lates, readers } = blob.pulling;
  if (lates.length === 0 || !hedgeAllowed(blob)) return undefined;
  for (const flight of lates) {
    if (flight.source === source || !holdsPiece(source, flight.piece)) continue;
    if (!standing || readers.some(({ at }) => at === flight.piece)) return flight;
  }
  return undefined;
}

function hedgeAllowed({ pulling: { duplicates, arrived, cameTooLate, hedging } }: Blob): boolean {
  return hedging < hedgesPerBlobMax && duplicates - cameTooLate + hedging < duplicatesFree + arrived / 128;
}
