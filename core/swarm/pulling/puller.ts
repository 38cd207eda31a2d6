/**
 * The puller: answers each grant at once with one piece or a pass, takes pieces in, and gives the
 * feeder its credit back on a piece's last byte.
 *
 * Rule 1: a piece is in flight from one neighbour, or from two where the first one is late (flights.ts).
 * Rule 2: nothing counts as held before the verifier says so.
 */

import { PeerFault } from '../../assert.ts';
import type { Gone, Grant, Haves, Missing, Pass } from '../../wire/messages.ts';
import { announce } from '../feeding/haves.ts';
import { markUnsent } from '../feeding/unsent.ts';
import { diskRestMs, diskRestMsMax, elsewhereSpan } from '../limits.ts';
import { has } from '../records/bits.ts';
import { findFlight, openTo } from '../records/questions.ts';
import type { Blob, Flight, Source } from '../records/records.ts';
import type { Check, State } from '../records/state.ts';
import type { Input, SlotNo } from '../types.ts';
import { choosePiece } from './choose.ts';
import { abandon, arrives, fly, hedged, isOver, land, lateFor, unwanted } from './flights.ts';
import { knowsAll } from './learning.ts';
import type { OurDownlink, OurPullingBlob, OurSource } from './ours.ts';
import { misfits } from './scope.ts';
import { dropClosed } from './sources.ts';
import { delivers, letsDown, tookMs, trust } from './trust.ts';
import { addHaves, giveBack, holdsAll, lacks, reviewAll, take, toldOf } from './wants.ts';
import { admits, redeemPromise, widen } from './window.ts';
import { forgetOwnWish } from './wishes.ts';

// ---- grants ------------------------------------------------------------------------------------

export function onGrant(state: State, source: Source, { grant, piece: named }: Grant): void {
  if (source.state === 'closed') return;
  if (source.state !== 'open' && source.state !== 'parting') throw new PeerFault('grant before opened');
  const { blob, flights } = source;
  redeemPromise(state, source.link);
  if (named >= blob.pieces) throw new PeerFault('grant names a piece beyond the blob');
  if (source.gift && blob.pieces === 1 && named === 0) return takeGift(state, source);
  if (named >= source.knows) throw new PeerFault('grant names a piece whose hash its feeder does not know');
  if (named >= 0 && !source.holds(named)) addHaves(state, source, [named]);
  const ready = blob.usable && blob.pulling.restsUntilMs === 0 && flights.length < trust(source);
  if (source.state === 'parting' || !ready) return pass(state, source, grant, 'nothing');
  if (!admits(state, source, named >= 0 || isWaitedFor(source))) return pass(state, source, grant, 'busy');
  if (named >= 0) onNamed(state, source, grant, named);
  else onFree(state, source, grant);
}

/** The feeder names the piece. */
function onNamed(state: State, source: Source, grant: number, piece: number): void {
  if (piece >= source.blob.known) return pass(state, source, grant, 'nothing');
  if (source.blob.pulling.scope !== undefined && misfits(state, source, piece))
    return pass(state, source, grant, 'nothing');
  if (!has(openTo(source), piece)) {
    forgetOwnWish(source, piece);
    return pass(state, source, grant, 'held');
  }
  if (findFlight(source, piece) !== undefined) return pass(state, source, grant, 'nothing');
  take(state, source.blob, piece);
  request(state, source, grant, fly(state, source, piece));
  tellElsewhere(state, source, piece);
}

/** We choose the piece. */
function onFree(state: State, source: Source, grant: number): void {
  const { blob } = source;
  const hedges = blob.pulling.late.length > 0;
  const urgent = hedges ? lateFor(source, true) : undefined;
  const piece = urgent === undefined ? choosePiece(source, state.config.policy, state.config.prng) : -1;
  if (piece >= 0) {
    // It was given up here and may still come: it is not asked for twice of the same.
    if (findFlight(source, piece) !== undefined) return pass(state, source, grant, 'nothing');
    take(state, blob, piece);
    return request(state, source, grant, fly(state, source, piece));
  }
  const late = urgent ?? (hedges ? lateFor(source, false) : undefined);
  if (late === undefined) return pass(state, source, grant, 'nothing');
  const hedge = fly(state, source, late.piece);
  hedged(state, late, hedge);
  request(state, source, grant, hedge);
}

/** A reader out of the blue stands at a piece that `source` has and nobody sends: little may stand in its way. */
function isWaitedFor(source: Source): boolean {
  const { pieces, pulling } = source.blob;
  const open = openTo(source);
  for (const { far, at, end } of pulling.readers)
    if (far && at < Math.min(end, pieces) && has(open, at) && source.holds(at)) return true;
  return false;
}

function pass(state: State, source: Source, grant: number, reason: Pass['reason']): void {
  const { link, swarm } = source;
  state.send(link, { kind: 'pass', grant, swarm, reason, ...toldOf(state, source) });
}

function request(state: State, source: Source, grant: number, { piece, state: as }: Flight): void {
  const { link, swarm } = source;
  if (source.wishes.length > 0) forgetOwnWish(source, piece);
  state.send(link, { kind: 'request', grant, swarm, piece, hedge: as === 'hedge', ...toldOf(state, source) });
}

/**
 * Of the pieces around the one that an origin named, those that are known to be given. Agents hear of their neighbours'
 * pieces themselves; and what is rare around them they had better give twice.
 */
function tellElsewhere(state: State, { link, swarm, blob }: Source, named: number): void {
  if (link.peer.address.role !== 'origin') return;
  const { open, holders } = blob.pulling;
  const pieces: number[] = [];
  const until = Math.min(blob.pieces, named + elsewhereSpan);
  for (let i = Math.max(0, named - elsewhereSpan); i < until; i += 1) {
    // What is neither open nor in scope is nobody's, as far as we know.
    const ours = !has(open, i) && blob.inScope(i);
    if (i !== named && (holders[i]! > 0 || ours)) pieces.push(i);
  }
  if (pieces.length > 0) state.send(link, { kind: 'elsewhere', swarm, pieces });
}

/** The one piece of the blob comes along with the answer, wanted or not. */
function takeGift(state: State, source: Source): void {
  const { blob } = source;
  if (blob.stage !== 'ready') throw new PeerFault('a piece before its hash');
  (source as OurSource).gift = false;
  const wants = has(blob.pulling.open, 0);
  if (wants) take(state, blob, 0);
  const flight = fly(state, source, 0);
  if (!wants) unwanted(flight);
}

// ---- what the feeder holds ---------------------------------------------------------------------

export function onHaves(state: State, source: Source, { all, pieces }: Haves): void {
  if (!isWithin(source, pieces, 'have')) return;
  if (all) {
    knowsAll(source);
    holdsAll(state, source);
  } else addHaves(state, source, pieces);
}

/** The feeder has these no longer. */
export function onGone(state: State, source: Source, { pieces }: Gone): void {
  if (!isWithin(source, pieces, 'gone')) return;
  for (let i = 0; i < pieces.length; i += 1) lacks(state, source, pieces[i]!);
}

/** False where the source is closed, and nothing that is said of it matters. */
function isWithin({ state, blob, knows }: Source, pieces: ArrayLike<number>, what: 'have' | 'gone'): boolean {
  if (state === 'closed') return false;
  if (state !== 'open' && state !== 'parting') throw new PeerFault(`${what} before opened`);
  for (let i = 0; i < pieces.length; i += 1)
    if (pieces[i]! >= blob.pieces || pieces[i]! < 0) throw new PeerFault(`${what} of a piece beyond the blob`);
    else if (pieces[i]! >= knows) throw new PeerFault(`${what} of a piece whose hash its feeder does not know`);
  return true;
}

/** The feeder does not send the piece: unreadable there, or we cancelled it. */
export function onMissing(state: State, source: Source, { piece }: Missing): void {
  const flight = findFlight(source, piece);
  if (flight === undefined) throw new PeerFault('missing a piece that was not asked for');
  land(state, flight);
  letsDown(source.link);
  if (!isOver(flight)) {
    lacks(state, source, piece);
    abandon(state, flight);
  }
  receipt(state, source, piece);
}

// ---- pieces ------------------------------------------------------------------------------------

/** A piece's last byte is in `slot`. Where its link or blob ended while it was on the last hop to us there is no source. */
export function arrived(state: State, source: Source | undefined, piece: number, slot: SlotNo): void {
  const flight = source === undefined ? undefined : findFlight(source, piece);
  if (source === undefined || flight === undefined) return void state.out.push({ kind: 'release', slot });
  land(state, flight);
  delivers(state, source.link);
  if (isOver(flight)) {
    const ours = source.blob.pulling as OurPullingBlob;
    ours.duplicates += 1;
    if (flight.state === 'givenUp') ours.cameTooLate += 1;
    state.out.push({ kind: 'release', slot });
  } else {
    check(state, source, flight, slot);
  }
  receipt(state, source, piece);
}

/** Gives the feeder its credit back. */
function receipt(state: State, source: Source, piece: number): void {
  if (source.state === 'closed') return dropClosed(source);
  const { link, swarm } = source;
  state.send(link, { kind: 'receipt', swarm, piece, ...toldOf(state, source) });
}

function check(state: State, { blob, link }: Source, flight: Flight, slot: SlotNo): void {
  const { piece, bytes } = flight;
  const ours = blob.pulling as OurPullingBlob;
  const down = state.down as OurDownlink;
  tookMs(link, state.nowMs - flight.sinceMs);
  arrives(state, flight);
  ours.arrived += 1;
  ours.unchecked += 1;
  down.uncheckedBytes += bytes;
  down.checks.push({ blob, piece, peer: link.peer, bytes });
  state.out.push({ kind: 'verify', link: link.no, blob: blob.no, piece, slot, length: bytes });
}

/** The verifier's word on a piece. */
export function verified(state: State, input: Extract<Input, { kind: 'verified' }>): void {
  const { checks } = state.down as OurDownlink;
  const at = checks.findIndex((one) => one.piece === input.piece && one.blob.no === input.blob);
  if (at < 0) return;
  const found = checks[at]!;
  checks[at] = checks[checks.length - 1]!;
  checks.pop();
  (state.down as OurDownlink).uncheckedBytes -= found.bytes;
  state.due.room = true;
  const { blob, piece, peer } = found;
  if (blob.stage === 'gone') return;
  (blob.pulling as OurPullingBlob).unchecked -= 1;
  if (input.verdict === 'held') return hold(state, found);
  giveBack(state, blob, piece);
  if (input.verdict === 'failed') rest(state, blob);
  if (input.verdict !== 'corrupt') return;
  (blob.pulling as OurPullingBlob).corrupt += 1;
  state.due.closings.push({ kind: 'fault', peer, why: `sent a corrupt piece ${piece} of ${blob.digest}` });
}

function hold(state: State, { blob, piece, peer, bytes }: Check): void {
  const ours = blob.pulling as OurPullingBlob;
  // It came by another way meanwhile.
  if (has(blob.held, piece)) return;
  blob.gain(piece);
  widen(state, blob);
  ours.diskRefusals = 0;
  if (peer.address.role === 'origin') ours.bytesFromOrigins += bytes;
  else ours.bytesFromPeers += bytes;
  if (ours.holders[piece] === 0) markUnsent(blob, piece);
  announce(state, blob, piece);
  if (blob.heldCount === blob.pieces) state.due.mark('finished', blob);
}

/** The disk would not take a piece: the blob rests, longer each time. */
function rest(state: State, blob: Blob): void {
  const ours = blob.pulling as OurPullingBlob;
  ours.restsUntilMs = state.nowMs + Math.min(diskRestMsMax, diskRestMs * 2 ** ours.diskRefusals);
  ours.diskRefusals += 1;
  reviewAll(state, blob);
}

/** It has rested. */
export function resume(state: State, blob: Blob): void {
  const ours = blob.pulling as OurPullingBlob;
  if (ours.restsUntilMs === 0 || ours.restsUntilMs > state.nowMs) return;
  ours.restsUntilMs = 0;
  reviewAll(state, blob);
}
