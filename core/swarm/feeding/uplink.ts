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
import { grantedWish } from '../pulling/wishes.ts';
import type { Blob } from '../records/blob.ts';
import { Allowance, type InLink, type Sink, takeOut } from '../records/links.ts';
import type { State } from '../records/state.ts';
import { isWished, markSent, markUnsent, nameFor, wishDueMs } from './naming.ts';

/** What the neighbour on `link` says of its downlink; wakes it if it rests. */
export function hear(state: State, link: InLink, inbound: Inbound): void {
  if (inbound.inPieces < link.sending && inbound.inPieces < requested(link))
    throw new PeerFault('says that less is on its way to it than it asked for');
  link.inBytes = inbound.inBytes;
  link.others = Math.max(0, inbound.inPieces - link.sending);
  link.restsUntilMs = 0;
  reweigh(state, link);
  if (link.hungry > 0 && (link.inBytes < link.fullBytes || link.fullUntilMs <= state.nowMs)) state.pumpDue = true;
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
export function full(state: State, link: InLink): void {
  link.fullBytes = link.inBytes;
  link.fullUntilMs = state.nowMs + state.config.policy.fullRestMs;
}

/** It says so by itself: one grant may try, also where what filled its downlink waits for its disk. */
export function hasRoomAgain(link: InLink, { inBytes }: Inbound): void {
  link.fullBytes = Math.max(link.fullBytes, inBytes + 1);
}

/** When `link` may have a grant of `bytes` again, as far as its downlink is concerned. */
function roomAtMs(link: InLink, bytes: number): number {
  const offered = (link.outstanding - link.sending) * bytes;
  return link.inBytes + offered < link.fullBytes ? 0 : link.fullUntilMs;
}

/** How many pieces `sink` would take from us now. */
export function setCount(state: State, sink: Sink, count: number): void {
  const before = sink.count;
  sink.count = count;
  if (before === 0 && count > 0) {
    const { blob, link } = sink;
    if (blob.hungry === 0) state.feeding.push(blob);
    blob.hungry += 1;
    if (link.hungry === 0) state.wanting += 1;
    link.hungry += 1;
    state.pumpDue = true;
  } else if (before > 0 && count === 0) {
    const { blob, link } = sink;
    blob.hungry -= 1;
    if (blob.hungry === 0) takeOut(state.feeding, blob);
    link.hungry -= 1;
    if (link.hungry === 0) state.wanting -= 1;
  }
}

/** Gives out what the uplink can carry. */
export function pump(state: State): void {
  state.pumpDue = false;
  state.noTaker = false;
  state.pumpAtMs = Infinity;
  const { policy, uplinkBytesPerS } = state.config;
  const perMs = Math.min(uplinkBytesPerS / 1000, state.meter.rate * meterGain);
  while (state.feeding.length > 0 && wireLoad(state) < policy.uplinkTarget) {
    const sink = nextSink(state);
    if (sink === undefined) {
      state.noTaker = true;
      return;
    }
    const bytes = sink.blob.meta.pieceLength;
    const cap = Math.max(perMs * policy.uplinkCapMs, bytes * policy.uplinkCapPiecesMin);
    if (state.outBytes + bytes > cap) return;
    grant(state, sink, nameFor(state, sink), bytes);
  }
}

/**
 * The load without what is on no wire: a grant's way there, its answer's way back and its receipt's.
 * So an uplink with a long round trip has more grants out, and one with a short round trip few.
 */
function wireLoad(state: State): number {
  const { outPieces, outBytes, load } = state;
  if (outPieces === 0) return 0;
  const idleBytes = Math.min(idleMsMax, idleTrips * state.answerMs) * state.meter.rate;
  return load * Math.max(0, 1 - idleBytes / outBytes);
}

/** A grant was answered after `ms`. */
function answered(state: State, ms: number): void {
  state.answerMs += (ms - state.answerMs) * answerWeight;
}

/** Gives `sink` one piece: `piece` by name, or where that is -1 the one that it chooses. */
export function grant(state: State, sink: Sink, piece: number, bytes: number): Allowance {
  const { link } = sink;
  const allowance = new Allowance(link.nextGrant, piece, bytes, state.nowMs);
  link.nextGrant += 1;
  sink.allowances.push(allowance);
  sink.offered += 1;
  count(state, link, 1, bytes);
  state.send(link, { kind: 'grant', grant: allowance.grant, swarm: sink.swarm, piece });
  if (state.scanAtMs === Infinity) state.scanAtMs = state.nowMs + state.config.policy.grantExpiryMs / 2;
  return allowance;
}

/** A request came after its grant had expired: it stands again, as far as there is room. */
export function regrant(state: State, sink: Sink, no: number): Allowance | undefined {
  if (sink.link.outstanding >= grantsPerLinkMax) return undefined;
  const allowance = new Allowance(no, -1, sink.blob.meta.pieceLength, state.nowMs);
  sink.allowances.push(allowance);
  sink.offered += 1;
  count(state, sink.link, 1, allowance.bytes);
  return allowance;
}

/** The grant is used for `piece`. */
export function accept(state: State, sink: Sink, allowance: Allowance, piece: number): void {
  const bytes = sink.blob.bytes(piece);
  if (allowance.state === 'offered') answered(state, state.nowMs - allowance.sinceMs);
  allowance.state = 'sending';
  allowance.piece = piece;
  allowance.sinceMs = state.nowMs;
  state.outBytes += bytes - allowance.bytes;
  allowance.bytes = bytes;
  sink.offered -= 1;
  sink.link.sending += 1;
  grantedWish(sink, piece);
  const first = markSent(sink.blob, piece) || allowance.named;
  if (first && sink.given.length < sink.blob.pieces) sink.given.push(piece);
}

/** The grant is over. `given`: somebody holds its piece for it, or it named none. */
export function end(state: State, sink: Sink, allowance: Allowance, given: boolean): void {
  assert(takeOut(sink.allowances, allowance), 'ended a grant twice');
  if (allowance.state === 'offered') sink.offered -= 1;
  else sink.link.sending -= 1;
  if (!given && allowance.named && sink.blob.holds(allowance.piece)) markUnsent(sink.blob, allowance.piece);
  count(state, sink.link, -1, -allowance.bytes);
  if (!state.noTaker) state.pumpDue = true;
}

/** The puller has all of the piece. */
export function receipted(state: State, sink: Sink, allowance: Allowance): void {
  sink.blob.counts.bytesSent += allowance.bytes;
  sink.link.receiptMs = state.nowMs;
  state.meter.carried(allowance.bytes, state.nowMs);
  end(state, sink, allowance, true);
}

/**
 * Takes back the grants on `link` that were not answered; it gets no more until it says something.
 * Returns why the link is stuck: it owes a receipt or answers for too long. Else undefined.
 */
export function expire(state: State, link: InLink): string | undefined {
  const { grantExpiryMs, stallMs } = state.config.policy;
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
  link.ignored += expired;
  if (expired > 0) link.restsUntilMs = Infinity;
  // Whatever else it says meanwhile: only receipts show that pieces get there. They come one after the other.
  const receipted = state.nowMs - Math.max(sinceMs, link.receiptMs);
  if (bytes > 0 && receipted > stallMs + bytes / stallBytesPerMs) return 'no receipt';
  const silent = link.restsUntilMs === Infinity && state.nowMs - link.heardMs > stallMs;
  return silent || link.ignored >= ignoredMax ? 'grants are not answered' : undefined;
}

function count(state: State, link: InLink, pieces: 1 | -1, bytes: number): void {
  link.outstanding += pieces;
  state.outPieces += pieces;
  state.outBytes += bytes;
  if (state.outPieces === 0) state.meter.idle();
  else state.meter.busy(state.nowMs);
  reweigh(state, link);
}

function reweigh(state: State, link: InLink): void {
  const weight = link.outstanding / (1 + link.others);
  state.load += weight - link.weight;
  link.weight = weight;
  // Sums of fractions drift; an idle uplink is exactly idle.
  if (state.outPieces === 0) state.load = 0;
}

/** The sink to grant to next, from the blob whose turn it is; undefined: nobody may have one now. */
function nextSink(state: State): Sink | undefined {
  const { feeding } = state;
  for (let tries = feeding.length; tries > 0; tries -= 1) {
    state.turn = (state.turn + 1) % feeding.length;
    const sink = pick(state, feeding[state.turn]!);
    if (sink !== undefined) return sink;
  }
  return undefined;
}

function pick(state: State, blob: Blob): Sink | undefined {
  const { policy, prng } = state.config;
  const { sinks } = blob;
  // Two at least: one alone would leave the uplink idle for its round trip (simulated: 1.31 x the bound, not 1.10).
  const share = Math.min(grantsPerLinkMax, Math.max(2, Math.ceil((2 * (state.outPieces + 1)) / state.wanting)));
  let best: Sink | undefined;
  let bestWished = false;
  let ties = 0;
  for (let i = 0; i < sinks.length; i += 1) {
    const sink = sinks[i]!;
    const { link } = sink;
    if (sink.count <= sink.offered || link.outstanding >= share || sink.state !== 'open') continue;
    const wished = isWished(state, sink);
    const restsUntilMs = wished ? link.restsUntilMs : restOf(state, sink);
    if (restsUntilMs > state.nowMs) {
      if (restsUntilMs < state.pumpAtMs) state.pumpAtMs = restsUntilMs;
      continue;
    }
    if (wireLoad(state) >= policy.uplinkTargetEnd && nearEnd(state, sink)) continue;
    const order = best === undefined ? -1 : compare(link, best.link, Number(bestWished) - Number(wished));
    if (order < 0) {
      best = sink;
      bestWished = wished;
      ties = 1;
    } else if (order === 0) {
      ties += 1;
      if (prng.below(ties) === 0) best = sink;
    }
  }
  return best;
}

/** When it may have a grant again; one that wishes for something waits for neither others nor room of its downlink. */
function restOf(state: State, sink: Sink): number {
  const { blob, link } = sink;
  return Math.max(
    spared(state, sink) ? Math.min(link.heardMs + spareMs, wishDueMs(state, sink)) : link.restsUntilMs,
    blob.unsentCount > 0 ? 0 : roomAtMs(link, blob.meta.pieceLength),
  );
}

/**
 * An origin that has given every piece once leaves the rest to peers: storage sends one copy, and a
 * second one only to whom hardly anybody else sends, or of whom nothing was heard for a while.
 */
function spared(state: State, { blob, link }: Sink): boolean {
  const { self, policy } = state.config;
  return self.role === 'origin' && blob.unsentCount === 0 && link.others >= policy.originSparePieces;
}

/** The end is near where little is missing here as well as there: fewer pieces at once finish sooner. */
function nearEnd(state: State, sink: Sink): boolean {
  const { endBytes } = state.config.policy;
  const { blob } = sink;
  return sink.count * blob.meta.pieceLength <= endBytes && blob.lackingBytes <= endBytes;
}

function compare(a: InLink, b: InLink, wished: number): number {
  if (a.outstanding !== b.outstanding) return a.outstanding - b.outstanding;
  if (wished !== 0) return wished;
  return a.inBytes - b.inBytes;
}
