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

import { abandon, closeLink, unlate } from '../graph/edges.ts';
import { duplicatesFree, hedgesPerBlobMax, scanMs, stallBytesPerMs, unprovenMs } from '../limits.ts';
import type { Blob } from '../records/blob.ts';
import type { Flight, OutLink, Source } from '../records/links.ts';
import type { State } from '../records/state.ts';
import { holdsPiece, reviewAll } from './interest.ts';

/** The estimate moves by this part of a sample; up and down in the ratio that settles at the percentile. */
const step = 0.25;
const percentile = 0.96;
const mebibyte = 1024 * 1024;

/** A piece of `link` took `ms`. */
export function tookMs(link: OutLink, ms: number): void {
  if (link.slowMs === 0) link.slowMs = ms;
  else if (ms > link.slowMs) link.slowMs += (ms - link.slowMs) * step + 0.01;
  else link.slowMs -= (link.slowMs - ms) * step * (1 - percentile);
}

/** Marks what is late, closes what is stuck. */
export function scanFlights(state: State): void {
  for (const blob of state.pulling) {
    const before = blob.late.length;
    const usual = blob.openCount === 0 ? usualMs(blob) : Infinity;
    for (const { flights } of blob.sources) for (const flight of flights) scanFlight(state, flight, usual);
    if (blob.late.length > before) reviewAll(state, blob);
  }
  const stuck: OutLink[] = [];
  for (const link of state.links.values()) {
    if (link.kind !== 'out') continue;
    state.moves(link);
    // Also of blobs that are whole by now: what was asked for twice holds memory until it has come.
    for (const source of link.sources) if (isStuck(state, source)) stuck.push(link);
  }
  for (const link of stuck) closeLink(state, link, 'a piece made no progress', 'slow');
  if (state.inPieces > 0 || state.outPieces > 0 || state.wanting > 0) state.scanAtMs = state.nowMs + scanMs;
}

/** The late piece to ask `source` for; `standing`: only one that a reader stands at. */
export function lateFor(source: Source, standing: boolean): Flight | undefined {
  const { blob } = source;
  if (blob.late.length === 0 || !hedgeAllowed(blob)) return undefined;
  for (const flight of blob.late) {
    if (flight.source === source || !holdsPiece(source, flight.piece)) continue;
    if (!standing || blob.readers.some(({ at }) => at === flight.piece)) return flight;
  }
  return undefined;
}

/** The late piece is on its way from elsewhere as well. */
export function hedged(state: State, late: Flight, hedge: Flight): void {
  const { blob } = late.source;
  unlate(state, late);
  late.state = 'hedged';
  hedge.state = 'hedge';
  blob.hedging += 1;
  blob.counts.hedges += 1;
}

/** One of two has arrived: the other is cancelled. */
export function cancelTwin(state: State, arrived: Flight): void {
  const { blob } = arrived.source;
  for (const source of blob.sources) {
    for (const flight of source.flights) {
      if (flight.piece !== arrived.piece || flight === arrived || flight.state === 'cancelled') continue;
      flight.state = 'cancelled';
      blob.hedging -= 1;
      state.send(source.link, { kind: 'cancel', swarm: source.swarm, piece: flight.piece });
      return;
    }
  }
}

function hedgeAllowed(blob: Blob): boolean {
  const { duplicates, arrived } = blob.counts;
  const twice = duplicates - blob.cameTooLate;
  return blob.hedging < hedgesPerBlobMax && twice + blob.hedging < duplicatesFree + arrived / 128;
}

function scanFlight(state: State, flight: Flight, usual: number): void {
  if (flight.state !== 'due') return;
  const { hedgeFloorMs, hedgeFactor } = state.config.policy;
  const { slowMs } = flight.source.link;
  // Nothing has come from there yet: only the usual time of others says anything.
  const own = slowMs === 0 ? Infinity : slowMs * hedgeFactor;
  const floor = slowMs === 0 && usual < Infinity ? Math.min(unprovenMs, hedgeFloorMs) : hedgeFloorMs;
  const lateAfter = Math.max(floor, Math.min(own, usual * hedgeFactor));
  const never = lateAfter === Infinity ? hedgeFloorMs * 10 : lateAfter;
  if (state.nowMs - flight.sinceMs <= never) return;
  flight.state = 'late';
  flight.source.blob.late.push(flight);
}

/** The middle one of what the blob's neighbours take. */
function usualMs(blob: Blob): number {
  const all: number[] = [];
  for (const { link } of blob.sources) if (link.slowMs > 0) all.push(link.slowMs);
  return all.sort((a, b) => a - b)[all.length >> 1] ?? Infinity;
}

/** Its pieces may be fetched elsewhere; should one come after all, it is thrown away. */
function giveUp(state: State, { flights, link, swarm }: Source): void {
  link.letDown = true;
  for (const flight of flights) {
    if (flight.state !== 'due' && flight.state !== 'late') continue;
    abandon(state, flight);
    flight.givenUp = true;
    state.send(link, { kind: 'cancel', swarm, piece: flight.piece });
  }
}

/** Looks whether anything moves from `source`; true: for so long that its link is given up. */
function isStuck(state: State, source: Source): boolean {
  const { flights, link } = source;
  if (flights.length === 0) return false;
  let bytes = 0;
  let bytesMax = 0;
  let sinceMs = Infinity;
  for (const flight of flights) {
    bytes += flight.bytes;
    bytesMax = Math.max(bytesMax, flight.bytes);
    sinceMs = Math.min(sinceMs, flight.sinceMs);
  }
  const { stallMs, hedgeFloorMs, hedgeFactor } = state.config.policy;
  const stillMs = state.nowMs - Math.max(sinceMs, link.arrivedMs);
  const usual = usualMs(source.blob);
  if (stillMs > Math.max(hedgeFloorMs, usual === Infinity ? hedgeFloorMs * 10 : usual * hedgeFactor)) {
    state.stands(link, flights.length, bytes);
    const longMs = usual === Infinity ? Infinity : hedgeFloorMs * Math.max(1, bytesMax / mebibyte);
    if (link.arrived === 0 && link.peer.address.role === 'agent' && stillMs > longMs) giveUp(state, source);
  }
  // A closed one has the time that tend gives it (graph.ts).
  if (source.state === 'closed') return false;
  // One piece's time, however many are asked for: they come one after the other.
  return stillMs > stallMs + bytesMax / stallBytesPerMs;
}
