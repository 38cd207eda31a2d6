/**
 * The life of a flight (records/lives.ts): a piece on its way from one neighbour, or from two where the first one is
 * late. Whatever ends it gives its place in the downlink back, and opens its piece where nobody else sends it.
 *
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

import { duplicatesFree, hedgesPerBlobMax, scanMs } from '../limits.ts';
import { flightLife, next } from '../records/lives.ts';
import { takeOut } from '../records/parts.ts';
import { type Blob, Flight, type Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { OurDownlink, OurFlight, OurPullingBlob, OurSource } from './ours.ts';
import { lateAfterMs, letsDown, moves, paceOf, stands, usualMs } from './trust.ts';
import { giveBack, reviewAll } from './wants.ts';

/** The piece is on its way from `source` from here on. */
export function fly(state: State, source: Source, piece: number): Flight {
  const down = state.down as OurDownlink;
  const flight = new Flight(source, piece, source.blob.bytes(piece), state.nowMs);
  (source as OurSource).flights.push(flight);
  down.inPieces += 1;
  down.inBytes += flight.bytes;
  if (state.due.scanAtMs === Infinity) state.due.scanAtMs = state.nowMs + scanMs;
  return flight;
}

/** It has come, or will not come: it takes no more of the downlink. */
export function land(state: State, flight: Flight): void {
  const down = state.down as OurDownlink;
  takeOut((flight.source as OurSource).flights, flight);
  moves(state, flight.source.link);
  down.inPieces -= 1;
  down.inBytes -= flight.bytes;
  state.due.room = true;
}

/** Nobody waits for it: what comes all the same is thrown away. */
export function isOver({ state }: Flight): boolean {
  return state === 'cancelled' || state === 'givenUp';
}

/** It takes too long: another one is wanted. */
export function late(flight: Flight): void {
  become(flight, 'late');
  (flight.source.blob.pulling as OurPullingBlob).late.push(flight);
}

/** The late piece is on its way from elsewhere as well. */
export function hedged(state: State, first: Flight, hedge: Flight): void {
  const ours = first.source.blob.pulling as OurPullingBlob;
  unlate(state, first);
  become(first, 'hedged');
  become(hedge, 'hedge');
  ours.hedging += 1;
  ours.hedges += 1;
}

/** The piece has come by this one: the other one, where there are two, is cancelled. */
export function arrives(state: State, flight: Flight): void {
  if (flight.state === 'late') return unlate(state, flight);
  if (flight.state === 'due') return;
  const twin = twinOf(flight);
  if (twin === undefined) return;
  become(twin, 'cancelled');
  (flight.source.blob.pulling as OurPullingBlob).hedging -= 1;
  cancel(state, twin);
}

/** Its piece may be fetched elsewhere. */
export function abandon(state: State, flight: Flight, as: 'cancelled' | 'givenUp' = 'cancelled'): void {
  if (isOver(flight)) return;
  const { blob } = flight.source;
  const ours = blob.pulling as OurPullingBlob;
  const was = flight.state;
  if (was === 'hedge') ours.hedging -= 1;
  if (was === 'late') unlate(state, flight);
  become(flight, as);
  // One of two is gone: the other stands alone again.
  const twin = was === 'hedge' || was === 'hedged' ? twinOf(flight) : undefined;
  if (twin === undefined) return giveBack(state, blob, flight.piece);
  if (twin.state === 'hedge') ours.hedging -= 1;
  become(twin, 'due');
}

/** The same, and its feeder hears of it. */
export function giveUp(state: State, flight: Flight): void {
  abandon(state, flight, 'givenUp');
  cancel(state, flight);
}

/** The gift came unasked, and its piece is here already. */
export function unwanted(flight: Flight): void {
  become(flight, 'cancelled');
}

function cancel(state: State, { piece, source: { link, swarm } }: Flight): void {
  state.send(link, { kind: 'cancel', swarm, piece });
}

/** The late piece no longer waits for a hedge. */
function unlate(state: State, flight: Flight): void {
  const { blob } = flight.source;
  if (takeOut((blob.pulling as OurPullingBlob).late, flight)) reviewAll(state, blob);
}

/** The flight of the same piece from somebody else that is not over. */
function twinOf(flight: Flight): Flight | undefined {
  for (const { flights } of (flight.source.blob as Blob).pulling.sources) {
    for (const twin of flights) if (twin.piece === flight.piece && twin !== flight && !isOver(twin)) return twin;
  }
  return undefined;
}

function become(flight: Flight, state: Flight['state']): void {
  (flight as OurFlight).state = next(flightLife, flight.state, state);
}

// ---- late pieces, and links that are stuck ----------------------------------------------------------

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
    if (flight.source === source || !source.holds(flight.piece)) continue;
    if (!standing || readers.some(({ at }) => at === flight.piece)) return flight;
  }
  return undefined;
}

function hedgeAllowed({ pulling: { duplicates, arrived, cameTooLate, hedging } }: Blob): boolean {
  return hedging < hedgesPerBlobMax && duplicates - cameTooLate + hedging < duplicatesFree + arrived / 128;
}
