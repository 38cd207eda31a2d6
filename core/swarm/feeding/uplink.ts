/**
 * The uplink scheduler: one for all blobs. It grants pieces, to different neighbours, until the load
 * reaches the policy's target. A grant loads the uplink by 1 / (1 + pieces that others send that
 * neighbour): where others send a lot, our share of its downlink is small.
 *
 * Rule 1: a grant ends in a pass, a receipt, its expiry, or with its swarm or link. Only then is its credit free.
 * Rule 2: first the neighbour with the fewest of our grants, then one whose wish we can grant, then the one whose downlink is least busy, then any;
 *   blobs in turn; nobody gets more than twice its share of the target while others want something.
 * Rule 3: after a pass a neighbour rests until its next message, or passRestMs.
 */

import { assert, PeerFault } from '../../assert.ts';
import type { Inbound } from '../../wire/messages.ts';
import {
  answerWeight,
  grantsPerLinkMax,
  idleMsMax,
  idleTrips,
  ignoredMax,
  meterGain,
  spareMs,
  stallBytesPerMs,
} from '../limits.ts';
import { allowanceLife, next } from '../records/lives.ts';
import { Allowance, takeOut, withoutWish } from '../records/parts.ts';
import { pullerAt } from '../records/puller.ts';
import type { Blob, InLink, Sink } from '../records/records.ts';
import { sinkAt } from '../records/sink.ts';
import type { State } from '../records/state.ts';
import { sayKnown } from './growing.ts';
import type { OurAllowance, OurFeedingBlob, OurPuller, OurSink, OurUplink } from './ours.ts';
import { crosses, hasUnsent, isWished, markSent, markUnsent, nameFor, wishDueMs } from './unsent.ts';

/** What the neighbour on `link` says of its downlink; wakes it if it rests. */
export function hear(state: State, link: InLink, inbound: Inbound): void {
  const puller = link.puller as OurPuller;
  if (inbound.inPieces < puller.sending && inbound.inPieces < requested(link))
    throw new PeerFault('says that less is on its way to it than it asked for');
  puller.inBytes = inbound.inBytes;
  puller.others = Math.max(0, inbound.inPieces - puller.sending);
  puller.restsUntilMs = 0;
  reweigh(state, puller);
  if (puller.takers > 0 && (puller.inBytes < puller.fullBytes || puller.fullUntilMs <= state.nowMs))
    state.due.pump = true;
}

/** Pieces that the neighbour asked for and has not receipted. A blob's only piece may go out unasked. */
function requested(link: InLink): number {
  let pieces = 0;
  for (const { blob, allowances } of link.sinks) {
    if (blob.pieces === 1) continue;
    for (const { state } of allowances) if (state === 'sending') pieces += 1;
  }
  return pieces;
}

/** The neighbour's downlink is full at what it says is on its way. */
export function downlinkIsFull(state: State, link: InLink): void {
  const puller = link.puller as OurPuller;
  puller.fullBytes = puller.inBytes;
  puller.fullUntilMs = state.nowMs + state.config.policy.fullRestMs;
}

/** It says so by itself: one grant may try, also where what filled its downlink waits for its disk. */
export function hasRoomAgain(link: InLink, { inBytes }: Inbound): void {
  const puller = link.puller as OurPuller;
  puller.fullBytes = Math.max(puller.fullBytes, inBytes + 1);
}

/** When the puller of that row may have a grant of `bytes` again, as far as its downlink is concerned. */
function roomAtMs(pullers: Float64Array, puller: number, bytes: number): number {
  const waiting = pullers[puller + pullerAt.outstanding]! - pullers[puller + pullerAt.sending]!;
  const fits = pullers[puller + pullerAt.inBytes]! + waiting * bytes < pullers[puller + pullerAt.fullBytes]!;
  return fits ? 0 : pullers[puller + pullerAt.fullUntilMs]!;
}

/** How many pieces `sink` would take from us now. */
export function setCount(state: State, sink: Sink, count: number): void {
  const before = sink.count;
  (sink as OurSink).count = count;
  if ((before === 0) === (count === 0)) return;
  const by = count > 0 ? 1 : -1;
  const up = state.up as OurUplink;
  const blob = sink.blob.feeding as OurFeedingBlob;
  const puller = sink.link.puller as OurPuller;
  if (by > 0 && blob.takers === 0) up.blobs.push(sink.blob);
  blob.takers += by;
  if (blob.takers === 0) takeOut(up.blobs, sink.blob);
  if (by > 0 && puller.takers === 0) up.takers += 1;
  puller.takers += by;
  if (puller.takers === 0) up.takers -= 1;
  if (by > 0) state.due.pump = true;
}

/** Gives out what the uplink can carry. */
export function pump(state: State): void {
  const up = state.up as OurUplink;
  state.due.pump = false;
  state.due.pumpAtMs = Infinity;
  up.noTaker = false;
  const { policy, uplinkBytesPerS } = state.config;
  const perMs = Math.min(uplinkBytesPerS / 1000, up.meter.rate * meterGain);
  while (up.blobs.length > 0 && wireLoad(state) < policy.uplinkTarget) {
    const sink = nextSink(state);
    if (sink === undefined) {
      up.noTaker = true;
      return;
    }
    const bytes = sink.blob.meta.pieceLength;
    const cap = Math.max(perMs * policy.uplinkCapMs, bytes * policy.uplinkCapPiecesMin);
    if (up.outBytes + bytes > cap) return;
    grant(state, sink, nameFor(state, sink), bytes);
  }
}

/**
 * The load without what is on no wire: a grant's way there, its answer's way back and its receipt's.
 * So an uplink with a long round trip has more grants out, and one with a short round trip few.
 */
function wireLoad({ up: { outPieces, outBytes, load, answerMs, meter } }: State): number {
  if (outPieces === 0) return 0;
  const idleBytes = Math.min(idleMsMax, idleTrips * answerMs) * meter.rate;
  return load * Math.max(0, 1 - idleBytes / outBytes);
}

/** Gives `sink` one piece: `piece` by name, or where that is -1 the one that it chooses. */
export function grant(state: State, sink: Sink, piece: number, bytes: number): Allowance {
  const puller = sink.link.puller as OurPuller;
  if (piece >= sink.toldKnown) sayKnown(state, sink);
  const allowance = allow(state, sink, new Allowance(puller.nextGrant, piece, bytes, state.nowMs));
  puller.nextGrant += 1;
  state.send(sink.link, { kind: 'grant', grant: allowance.grant, swarm: sink.swarm, piece });
  if (state.due.scanAtMs === Infinity) state.due.scanAtMs = state.nowMs + state.config.policy.grantExpiryMs / 2;
  return allowance;
}

/** A request came after its grant had expired: it stands again, as far as there is room. */
export function regrant(state: State, sink: Sink, no: number): Allowance | undefined {
  if (sink.link.puller.outstanding >= grantsPerLinkMax) return undefined;
  return allow(state, sink, new Allowance(no, -1, sink.blob.meta.pieceLength, state.nowMs));
}

function allow(state: State, sink: Sink, allowance: Allowance): Allowance {
  const ours = sink as OurSink;
  ours.allowances.push(allowance);
  ours.offered += 1;
  count(state, sink.link, 1, allowance.bytes);
  return allowance;
}

/** The grant is used for `piece`. */
export function accept(state: State, sink: Sink, allowance: Allowance, piece: number): void {
  const up = state.up as OurUplink;
  const ours = allowance as OurAllowance;
  const { blob } = sink;
  const bytes = blob.bytes(piece);
  up.answerMs += (state.nowMs - ours.sinceMs - up.answerMs) * answerWeight;
  ours.state = next(allowanceLife, ours.state, 'sending');
  ours.piece = piece;
  ours.sinceMs = state.nowMs;
  up.outBytes += bytes - ours.bytes;
  ours.bytes = bytes;
  (sink as OurSink).offered -= 1;
  (sink.link.puller as OurPuller).sending += 1;
  forgetPullerWish(sink, piece);
  const first = (!crosses(sink) && markSent(blob, piece)) || ours.named;
  if (first && sink.given.length < blob.pieces) (sink as OurSink).given.push(piece);
}

/** Its piece is asked for here, or is not wanted from here: the wish is over on both sides. */
export function forgetPullerWish(sink: Sink, piece: number): void {
  if (sink.wishes.length > 0) (sink as OurSink).wishes = withoutWish(sink.wishes, piece);
}

/** The grant is over. `given`: somebody holds its piece for it, or it named none. */
export function end(state: State, sink: Sink, allowance: Allowance, given: boolean): void {
  const ours = sink as OurSink;
  const was = allowance.state;
  assert(takeOut(ours.allowances, allowance), 'ended a grant twice');
  (allowance as OurAllowance).state = next(allowanceLife, was, 'over');
  if (was === 'offered') ours.offered -= 1;
  else (sink.link.puller as OurPuller).sending -= 1;
  if (!given && allowance.named && sink.blob.holds(allowance.piece)) markUnsent(sink.blob, allowance.piece);
  count(state, sink.link, -1, -allowance.bytes);
  if (!state.up.noTaker) state.due.pump = true;
}

/** The puller has all of the piece. */
export function receipted(state: State, sink: Sink, allowance: Allowance): void {
  (sink.blob.feeding as OurFeedingBlob).bytesSent += allowance.bytes;
  (sink.link.puller as OurPuller).receiptMs = state.nowMs;
  state.up.meter.carried(allowance.bytes, state.nowMs);
  end(state, sink, allowance, true);
}

/** Takes back what was not answered, and asks for the closing of links that are stuck. */
export function scanGrants(state: State): void {
  state.due.pump = true;
  if (state.up.outPieces === 0 && state.up.takers === 0) return;
  for (const link of state.graph.links.values()) {
    if (link.kind !== 'in' || (link.puller.outstanding === 0 && link.puller.restsUntilMs !== Infinity)) continue;
    const why = expire(state, link);
    if (why !== undefined) state.due.closings.push({ kind: 'slow', link, why });
  }
}

/**
 * Takes back the grants on `link` that were not answered; it gets no more until it says something.
 * Returns why the link is stuck: it owes a receipt or answers for too long. Else undefined.
 */
function expire(state: State, link: InLink): string | undefined {
  const { grantExpiryMs, stallMs } = state.config.policy;
  const puller = link.puller as OurPuller;
  let bytes = 0;
  let sinceMs = Infinity;
  let expired = 0;
  for (const sink of link.sinks) {
    for (let i = sink.allowances.length - 1; i >= 0; i -= 1) {
      const allowance = sink.allowances[i]!;
      if (allowance.state === 'sending') {
        bytes = Math.max(bytes, allowance.bytes);
        sinceMs = Math.min(sinceMs, allowance.sinceMs);
      } else if (allowance.sinceMs <= state.nowMs - grantExpiryMs) {
        end(state, sink, allowance, false);
        expired = 1;
      }
    }
  }
  puller.ignored += expired;
  if (expired > 0) puller.restsUntilMs = Infinity;
  // Whatever else it says meanwhile: only receipts show that pieces get there. They come one after the other.
  const unreceiptedMs = state.nowMs - Math.max(sinceMs, puller.receiptMs);
  if (bytes > 0 && unreceiptedMs > stallMs + bytes / stallBytesPerMs) return 'no receipt';
  const silent = puller.restsUntilMs === Infinity && state.nowMs - puller.heardMs > stallMs;
  return silent || puller.ignored >= ignoredMax ? 'grants are not answered' : undefined;
}

function count(state: State, link: InLink, pieces: 1 | -1, bytes: number): void {
  const up = state.up as OurUplink;
  const puller = link.puller as OurPuller;
  puller.outstanding += pieces;
  up.outPieces += pieces;
  up.outBytes += bytes;
  if (up.outPieces === 0) up.meter.idle();
  else up.meter.busy(state.nowMs);
  reweigh(state, puller);
}

function reweigh(state: State, puller: OurPuller): void {
  const up = state.up as OurUplink;
  const weight = puller.outstanding / (1 + puller.others);
  up.load += weight - puller.weight;
  puller.weight = weight;
  // Sums of fractions drift; an idle uplink is exactly idle.
  if (up.outPieces === 0) up.load = 0;
}

/** The sink to grant to next, from the blob whose turn it is; undefined: nobody may have one now. */
function nextSink(state: State): Sink | undefined {
  const up = state.up as OurUplink;
  for (let tries = up.blobs.length; tries > 0; tries -= 1) {
    up.turn = (up.turn + 1) % up.blobs.length;
    const sink = pick(state, up.blobs[up.turn]!);
    if (sink !== undefined) return sink;
  }
  return undefined;
}

/** Looks at rows alone as far as it can: of a hundred sinks one is granted something. */
function pick(state: State, blob: Blob): Sink | undefined {
  const { sinks, sinkRows } = blob.feeding;
  const { up, due, nowMs } = state;
  const { policy, prng } = state.config;
  const rows = up.sinks.numbers;
  const pullers = up.pullers.numbers;
  const ends = wireLoad(state) >= policy.uplinkTargetEnd;
  // Two at least: one alone would leave the uplink idle for its round trip (simulated: 1.31 x the bound, not 1.10).
  const share = Math.min(grantsPerLinkMax, Math.max(2, Math.ceil((2 * (up.outPieces + 1)) / up.takers)));
  let best = -1;
  let bestPuller = 0;
  let bestWished = false;
  let ties = 0;
  for (let i = 0; i < sinkRows.length; i += 1) {
    const row = sinkRows[i]!;
    if (rows[row + sinkAt.count]! <= rows[row + sinkAt.offered]! || rows[row + sinkAt.open] === 0) continue;
    const puller = rows[row + sinkAt.puller]!;
    if (pullers[puller + pullerAt.outstanding]! >= share) continue;
    const wished = rows[row + sinkAt.wishes]! > 0 && isWished(state, sinks[i]!);
    const restsUntilMs = wished ? pullers[puller + pullerAt.restsUntilMs]! : restOf(state, blob, i, puller);
    if (restsUntilMs > nowMs) {
      if (restsUntilMs < due.pumpAtMs) due.pumpAtMs = restsUntilMs;
      continue;
    }
    if (ends && nearEnd(state, sinks[i]!)) continue;
    const order = best < 0 ? -1 : compare(pullers, puller, bestPuller, Number(bestWished) - Number(wished));
    if (order < 0) {
      best = i;
      bestPuller = puller;
      bestWished = wished;
      ties = 1;
    } else if (order === 0) {
      ties += 1;
      if (prng.below(ties) === 0) {
        best = i;
        bestPuller = puller;
      }
    }
  }
  return best < 0 ? undefined : sinks[best];
}

/**
 * When the blob's sink `i`, whose other end's row is `puller`, may have a grant again; one that wishes for something waits
 * for neither others nor room of its downlink.
 */
function restOf(state: State, { feeding: { sinks, unsentCount }, meta }: Blob, i: number, puller: number): number {
  const pullers = state.up.pullers.numbers;
  const restsUntilMs = pullers[puller + pullerAt.restsUntilMs]!;
  if (unsentCount > 0 && hasUnsent(sinks[i]!)) return restsUntilMs;
  const roomMs = roomAtMs(pullers, puller, meta.pieceLength);
  if (!spared(state, sinks, i)) return Math.max(restsUntilMs, roomMs);
  const sparedUntilMs = pullers[puller + pullerAt.heardMs]! + spareMs;
  return Math.max(Math.min(sparedUntilMs, wishDueMs(state, sinks[i]!)), roomMs);
}

/**
 * An origin that has given every piece once leaves the rest to peers: storage sends one copy, and a
 * second one only to whom hardly anybody else sends, or of whom nothing was heard for a while.
 */
function spared({ config: { self, policy } }: State, sinks: readonly Sink[], i: number): boolean {
  if (self.role !== 'origin' || crosses(sinks[i]!)) return false;
  return sinks[i]!.link.puller.others >= policy.originSparePieces;
}

/** The end is near where little is missing here as well as there: fewer pieces at once finish sooner. */
function nearEnd(state: State, sink: Sink): boolean {
  const { endBytes } = state.config.policy;
  const { blob } = sink;
  return sink.count * blob.meta.pieceLength <= endBytes && blob.lackingBytes <= endBytes;
}

function compare(pullers: Float64Array, a: number, b: number, wished: number): number {
  const fewer = pullers[a + pullerAt.outstanding]! - pullers[b + pullerAt.outstanding]!;
  if (fewer !== 0) return fewer;
  return wished !== 0 ? wished : pullers[a + pullerAt.inBytes]! - pullers[b + pullerAt.inBytes]!;
}
