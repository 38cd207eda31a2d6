/**
 * Wishes: pieces that readers wait for out of the blue. A reader in order is served by what is named and by its
 * window. One that begins or jumps elsewhere would wait until all before it had been given once (1 GB: 3 to 7 s for a
 * hundred bytes). So a puller tells its feeders what such readers wait for first, and a feeder that holds it gives
 * that first (naming.ts, uplink.ts). Who lacks it wishes for it as well, a hop or two further, until it meets
 * somebody who has it, or an origin.
 *
 * Rule 1: a wish changes which piece comes next, not how many: what an origin has given is given again only within a
 *   share of its uplink, and to who has waited in vain for others to hand it on.
 * Rule 2: what neighbours wish for takes little of our downlink (choose.ts) and goes to few others, at most so often
 *   as haves do.
 * Rule 3: both sides forget a wish with the request for its piece, and with a pass that says `held`.
 */

import { PeerFault } from '../../assert.ts';
import { wishesPerFrameMax, wishHopsMax } from '../../wire/limits.ts';
import type { Wish, Wishes } from '../../wire/messages.ts';
import { tellOf } from '../feeding/news.ts';
import { passedOnToMax, wishAheadMax, wishesAtOnceMax, wishesPerMs } from '../limits.ts';
import { firstFrom, has } from '../records/bits.ts';
import type { Blob } from '../records/blob.ts';
import { type InLink, knowsWishes, type Sink, type Source } from '../records/links.ts';
import type { State } from '../records/state.ts';
import { holdsPiece } from './interest.ts';

type Due = Wish & { readonly own: boolean };

/** A reader is at `to` now; whether it came there past pieces that are lacking. */
export function jumps(blob: Blob, from: number, to: number): boolean {
  if (to < from) return true;
  for (let piece = from; piece < to; piece += 1) if (!blob.holds(piece)) return true;
  return false;
}

/** A message of what is wished for in place of what was. */
export function onWishes(state: State, link: InLink, sink: Sink, { wishes }: Wishes): void {
  if (!knowsWishes(link)) throw new PeerFault('wishes without their feature');
  if (sink.state === 'pending') throw new PeerFault('wishes before opened');
  bound(state, link);
  const { blob } = sink;
  const before = sink.wishes;
  sink.wishes = [];
  for (const { piece, hops } of wishes) {
    if (piece >= blob.pieces) throw new PeerFault('wish for a piece beyond the blob');
    const sinceMs = before.find((wish) => wish.piece === piece)?.sinceMs ?? state.nowMs;
    sink.wishes.push({ piece, hops, sinceMs });
    if (blob.holds(piece)) tellOf(state, sink, piece);
  }
  if (sink.count > 0 && sink.wishes.length > 0) state.pumpDue = true;
  if (!blob.pulling) return;
  blob.wishing = true;
  state.wishesMayChange(blob, false);
}

function bound(state: State, link: InLink): void {
  const regained = (state.nowMs - link.wishedMs) * wishesPerMs;
  link.wishesLeft = Math.min(wishesAtOnceMax, link.wishesLeft + regained) - 1;
  link.wishedMs = state.nowMs;
  if (link.wishesLeft < 0) throw new PeerFault('wishes more often than pieces can come');
}

/** Its piece is asked for there, or is not wanted from there: the wish is over on both sides. */
export function grantedWish(at: { wishes: readonly { readonly piece: number }[] }, piece: number): void {
  const { wishes } = at;
  for (let i = 0; i < wishes.length; i += 1) {
    if (wishes[i]!.piece !== piece) continue;
    at.wishes = wishes.filter((wish) => wish.piece !== piece);
    return;
  }
}

/** Tells feeders what is wished for now; between batches only what cannot wait. */
export function sendWishes(state: State, batch: boolean): void {
  state.wishesUrgent = false;
  for (const blob of state.wishesDue) {
    const wishes = blob.stage === 'gone' ? [] : wishesOf(blob);
    blob.awaited = wishes.flatMap(({ piece, own }) => (own ? [piece] : []));
    const byOrigin = asksOrigin(blob);
    let waits = false;
    let said = false;
    for (const source of blob.sources) {
      if (source.state !== 'open' || !knowsWishes(source.link)) continue;
      const theirs = wishes.filter((wish) => tells(source, wish, byOrigin));
      if (!same(theirs, source.wishes)) {
        if (batch || hurries(source, theirs)) tell(state, source, theirs);
        else waits = true;
      }
      said ||= source.wishes.length > 0;
    }
    if (waits) continue;
    state.wishesDue.delete(blob);
    blob.wishing = said || blob.astray || blob.sinks.some((sink) => sink.wishes.length > 0);
  }
}

function hurries(source: Source, wishes: readonly Due[]): boolean {
  if (source.link.peer.address.role === 'origin') return true;
  return source.wishes.length === 0 && wishes.some(({ own }) => own);
}

function tell(state: State, source: Source, due: readonly Due[]): void {
  const wishes = due.map(({ piece, hops }) => ({ piece, hops }));
  source.wishes = wishes;
  state.send(source.link, { kind: 'wishes', swarm: source.swarm, wishes });
}

function same(a: readonly Wish[], b: readonly Wish[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i += 1) if (a[i]!.piece !== b[i]!.piece || a[i]!.hops !== b[i]!.hops) return false;
  return true;
}

/** Our readers' first, then what neighbours wish for and may be passed on. */
function wishesOf(blob: Blob): Due[] {
  const wishes: Due[] = [];
  const add = (piece: number, hops: number, own: boolean): void => {
    if (wishes.length < wishesPerFrameMax && !wishes.some((wish) => wish.piece === piece))
      wishes.push({ piece, hops, own });
  };
  const next = blob.readers.flatMap(({ far, at, end }) => (far ? [{ at, end }] : []));
  for (let ahead = 0; ahead < wishAheadMax && wishes.length < wishesPerFrameMax; ahead += 1) {
    for (const reader of next) {
      const piece = firstFrom(blob.open, reader.at);
      reader.at = piece < 0 ? blob.pieces : piece + 1;
      if (piece >= 0 && piece < reader.end) add(piece, wishHopsMax, true);
    }
  }
  for (const { wishes: theirs } of blob.sinks) {
    for (const { piece, hops } of theirs) if (hops > 0 && has(blob.open, piece)) add(piece, hops - 1, false);
  }
  return wishes;
}

/** Whether `source` should hear of this one: it holds it, or may find it; `byOrigin`: an origin hears of it. */
function tells(source: Source, { piece, own }: Due, byOrigin: boolean): boolean {
  const { blob } = source;
  const around = blob.holders[piece]! > 0;
  const origin = source.link.peer.address.role === 'origin';
  if (holdsPiece(source, piece)) return !origin || !around;
  if (around || source.edge.sink?.wishes.some((wish) => wish.piece === piece) === true) return false;
  return own || (!byOrigin && isChosen(blob, source, piece));
}

function asksOrigin({ sources }: Blob): boolean {
  return sources.some(
    ({ link, state }) => state === 'open' && knowsWishes(link) && link.peer.address.role === 'origin',
  );
}

/** Others' wishes go on to few, which differ from piece to piece. */
function isChosen({ sources }: Blob, source: Source, piece: number): boolean {
  return (sources.indexOf(source) + piece) % sources.length < passedOnToMax;
}
