/**
 * The puller: answers each grant at once with one piece or a pass, takes pieces in, and gives the
 * feeder its credit back on a piece's last byte.
 *
 * Rule 1: a piece is in flight from one neighbour, or from two where the first one is late (hedge.ts).
 * Rule 2: nothing counts as held before the verifier says so.
 */

import { PeerFault } from '../../assert.ts';
import type { Grant, Missing, Pass } from '../../wire/messages.ts';
import { givenAround, holdsNoLonger, markUnsent } from '../feeding/naming.ts';
import { announce } from '../feeding/news.ts';
import { abandon, closeIfParted, closeLink, closeSource, landed, openSource, unlate } from '../graph/edges.ts';
import { diskRestMs, diskRestMsMax, scanMs } from '../limits.ts';
import { add, has } from '../records/bits.ts';
import type { Blob } from '../records/blob.ts';
import { Flight, findFlight, findSource, type OutLink, type Source, takeOut } from '../records/links.ts';
import type { Check, State } from '../records/state.ts';
import type { Input, SlotNo } from '../types.ts';
import { choosePiece } from './choose.ts';
import { cancelTwin, hedged, lateFor, tookMs } from './hedge.ts';
import { addHaves, giveBack, holdsPiece, lacks, reviewAll, take, trust, wanted } from './interest.ts';
import { hasRoom, mayTry, redeemed, turnedAway, widen } from './room.ts';
import { misfits } from './scope.ts';
import { grantedWish } from './wishes.ts';

export function onGrant(state: State, source: Source, message: Grant): void {
  if (source.state === 'closed') return;
  if (source.state !== 'open' && source.state !== 'parting') throw new PeerFault('grant before opened');
  const { blob } = source;
  redeemed(state, source.link);
  if (message.piece >= blob.pieces) throw new PeerFault('grant names a piece beyond the blob');
  if (source.gift && blob.pieces === 1 && message.piece === 0) return takeGift(state, source);
  if (message.piece >= 0 && !holdsPiece(source, message.piece)) addHaves(state, source, [message.piece]);
  if (source.state === 'parting') return pass(state, source, message.grant, 'nothing');
  if (!ready(source)) return pass(state, source, message.grant, 'nothing');
  const first = message.piece >= 0 || isWaitedFor(source);
  if (!hasRoom(state, blob, 1, first) || !mayTry(state, source.link, blob)) {
    turnedAway(state, source.link);
    return pass(state, source, message.grant, 'busy');
  }
  if (message.piece >= 0) {
    if (misfits(state, source, message.piece)) return pass(state, source, message.grant, 'nothing');
    if (!has(blob.open, message.piece)) {
      grantedWish(source, message.piece);
      return pass(state, source, message.grant, 'held');
    }
    if (findFlight(source, message.piece) !== undefined) return pass(state, source, message.grant, 'nothing');
    take(state, blob, message.piece);
    request(state, source, message.grant, fly(state, source, message.piece));
    return tellGiven(state, source, message.piece);
  }
  const urgent = lateFor(source, true);
  const piece = urgent === undefined ? choosePiece(source, state.config.policy, state.config.prng) : -1;
  // It was given up here and may still come: it is not asked for twice of the same.
  if (piece >= 0 && findFlight(source, piece) !== undefined) return pass(state, source, message.grant, 'nothing');
  if (piece >= 0) {
    take(state, blob, piece);
    return request(state, source, message.grant, fly(state, source, piece));
  }
  const late = urgent ?? lateFor(source, false);
  if (late === undefined) return pass(state, source, message.grant, 'nothing');
  const hedge = fly(state, source, late.piece);
  hedged(state, late, hedge);
  request(state, source, message.grant, hedge);
}

/** The feeder does not send the piece: unreadable there, or we cancelled it. */
export function onMissing(state: State, source: Source, message: Missing): void {
  const flight = findFlight(source, message.piece);
  if (flight === undefined) throw new PeerFault('missing a piece that was not asked for');
  land(state, source, flight);
  if (source.link.arrived === 0) source.link.letDown = true;
  if (flight.state !== 'cancelled') {
    lacks(state, source, flight.piece);
    abandon(state, flight);
  }
  settle(state, source, flight);
}

/** A piece's last byte is in `slot`. */
export function arrived(state: State, link: OutLink | undefined, input: Extract<Input, { kind: 'arrived' }>): void {
  const source = link === undefined ? undefined : findSource(link, input.swarm);
  const flight = source === undefined ? undefined : findFlight(source, input.piece);
  if (source === undefined || flight === undefined) {
    // Its link or blob ended while it was on the last hop to us.
    state.out.push({ kind: 'release', slot: input.slot });
    return;
  }
  land(state, source, flight);
  source.link.arrivedMs = state.nowMs;
  source.link.arrived += 1;
  source.link.letDown = false;
  if (flight.state === 'cancelled') {
    source.blob.counts.duplicates += 1;
    if (flight.givenUp) source.blob.cameTooLate += 1;
    state.out.push({ kind: 'release', slot: input.slot });
  } else {
    check(state, source, flight, input.slot);
  }
  settle(state, source, flight);
}

/** The verifier's word on a piece. */
export function verified(state: State, input: Extract<Input, { kind: 'verified' }>): void {
  const { checks } = state;
  const at = checks.findIndex((c) => c.piece === input.piece && c.blob.no === input.blob);
  if (at < 0) return;
  const found = checks[at]!;
  checks[at] = checks[checks.length - 1]!;
  checks.pop();
  state.uncheckedBytes -= found.bytes;
  state.roomDue = true;
  const { blob } = found;
  if (blob.stage === 'gone') return;
  blob.uncheckedPieces -= 1;
  if (input.verdict === 'held') return hold(state, found);
  giveBack(state, blob, found.piece);
  if (input.verdict === 'unwanted') return;
  if (input.verdict === 'failed') return rest(state, blob);
  blob.counts.corrupt += 1;
  state.bans.strike(found.peer.node, state.nowMs);
  for (const link of [found.peer.out, found.peer.in]) {
    if (link !== undefined) closeLink(state, link, `sent a corrupt piece ${found.piece} of ${blob.digest}`, 'fault');
  }
}

/** The piece cannot be read any more: it is lacking again, and fetched again where we pull. */
export function lost(state: State, blob: Blob, piece: number): void {
  if (!blob.holds(piece)) return;
  holdsNoLonger(blob, piece);
  if (!blob.pull) return;
  state.pulling.add(blob);
  state.needy.add(blob);
  giveBack(state, blob, piece);
  // Neighbours that know we had it do not tell us of it again: asked anew they say all that they hold.
  for (const edge of [...blob.edges]) {
    const { source } = edge;
    if (source === undefined || source.state !== 'open' || holdsPiece(source, piece)) continue;
    closeSource(state, source, true);
    if (edge.sink !== undefined) openSource(state, edge, 0, undefined);
  }
}

/** Agents hear of their neighbours' pieces themselves; and what is rare around them they had better give twice. */
function tellGiven(state: State, source: Source, named: number): void {
  if (source.link.peer.address.role !== 'origin') return;
  const pieces = givenAround(source, named);
  if (pieces.length > 0) state.send(source.link, { kind: 'elsewhere', swarm: source.swarm, pieces });
}

/** A reader out of the blue stands at a piece that `source` has and nobody sends: little may stand in its way. */
function isWaitedFor(source: Source): boolean {
  const { blob } = source;
  return blob.readers.some(
    ({ far, at, end }) => far && at < Math.min(end, blob.pieces) && has(blob.open, at) && holdsPiece(source, at),
  );
}

function ready(source: Source): boolean {
  const { blob, flights } = source;
  return blob.stage === 'ready' && blob.restsUntilMs === 0 && flights.length < trust(source);
}

function pass(state: State, source: Source, grant: number, reason: Pass['reason']): void {
  source.told = wanted(source);
  state.send(source.link, {
    kind: 'pass',
    grant,
    swarm: source.swarm,
    reason,
    count: source.told,
    ...state.inbound(source.link),
  });
}

function request(state: State, source: Source, grant: number, flight: Flight): void {
  grantedWish(source, flight.piece);
  source.told = wanted(source);
  state.send(source.link, {
    kind: 'request',
    grant,
    swarm: source.swarm,
    piece: flight.piece,
    hedge: flight.state === 'hedge',
    count: source.told,
    ...state.inbound(source.link),
  });
}

/** The piece is on its way from `source` from here on. */
function fly(state: State, source: Source, piece: number): Flight {
  const flight = new Flight(source, piece, source.blob.bytes(piece), state.nowMs);
  source.flights.push(flight);
  state.inPieces += 1;
  state.inBytes += flight.bytes;
  if (state.scanAtMs === Infinity) state.scanAtMs = state.nowMs + scanMs;
  return flight;
}

/** The one piece of the blob comes along with the answer, wanted or not. */
function takeGift(state: State, source: Source): void {
  const { blob } = source;
  if (blob.stage !== 'ready') throw new PeerFault('a piece before its hash');
  source.gift = false;
  const wants = has(blob.open, 0);
  if (wants) take(state, blob, 0);
  const flight = fly(state, source, 0);
  if (!wants) flight.state = 'cancelled';
}

function land(state: State, source: Source, flight: Flight): void {
  takeOut(source.flights, flight);
  landed(state, flight);
}

/** Gives the feeder its credit back; a source that waited for this piece is done. */
function settle(state: State, source: Source, flight: Flight): void {
  if (source.state === 'closed') {
    if (source.flights.length === 0) takeOut(source.link.sources, source);
    return;
  }
  source.told = wanted(source);
  state.send(source.link, {
    kind: 'receipt',
    swarm: source.swarm,
    piece: flight.piece,
    count: source.told,
    ...state.inbound(source.link),
  });
  closeIfParted(state, source);
}

function check(state: State, source: Source, flight: Flight, slot: SlotNo): void {
  const { blob, link } = source;
  const { piece, bytes } = flight;
  tookMs(link, state.nowMs - flight.sinceMs);
  if (flight.state === 'late') unlate(state, flight);
  else if (flight.state !== 'due') cancelTwin(state, flight);
  blob.counts.arrived += 1;
  blob.uncheckedPieces += 1;
  state.uncheckedBytes += bytes;
  state.checks.push({ blob, piece, peer: link.peer, bytes });
  state.out.push({ kind: 'verify', link: link.no, blob: blob.no, piece, slot, length: bytes });
}

function hold(state: State, { blob, piece, peer, bytes }: Check): void {
  add(blob.held, piece);
  blob.heldCount += 1;
  widen(state, blob);
  blob.diskRefusals = 0;
  if (peer.address.role === 'origin') blob.counts.bytesFromOrigins += bytes;
  else blob.counts.bytesFromPeers += bytes;
  if (blob.holders[piece] === 0) markUnsent(blob, piece);
  announce(state, blob, piece);
  if (blob.heldCount === blob.pieces) state.finished.add(blob);
}

/** The disk would not take a piece: the blob rests, longer each time. */
function rest(state: State, blob: Blob): void {
  blob.restsUntilMs = state.nowMs + Math.min(diskRestMsMax, diskRestMs * 2 ** blob.diskRefusals);
  blob.diskRefusals += 1;
  reviewAll(state, blob);
}
