/**
 * The life of a flight (records/lives.ts): a piece on its way from one neighbour, or from two where the first one is
 * late. Whatever ends it gives its place in the downlink back, and opens its piece where nobody else sends it.
 */

import { scanMs } from '../limits.ts';
import { flightLife, next } from '../records/lives.ts';
import { takeOut } from '../records/ours.ts';
import { type Blob, Flight, type Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { OurDownlink, OurFlight, OurPullingBlob, OurSource } from './ours.ts';
import { moves } from './trust.ts';
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
