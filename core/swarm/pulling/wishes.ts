/**
 * Readers, and wishes: pieces that they wait for out of the blue. A reader in order is served by what is named and by its
 * window. One that begins or jumps elsewhere would wait until all before it had been given once (1 GB: 3 to 7 s for a
 * hundred bytes). So a puller tells its feeders what such readers wait for first, and a feeder that holds it gives
 * that first (feeding/unsent.ts, uplink.ts). Who lacks it wishes for it as well, a hop or two further, until it meets
 * somebody who has it, or an origin.
 *
 * Rule 1: a wish changes which piece comes next, not how many: what an origin has given is given again only within a
 *   share of its uplink, and to who has waited in vain for others to hand it on.
 * Rule 2: what neighbours wish for takes little of our downlink (choose.ts) and goes to few others, at most so often
 *   as haves do.
 * Rule 3: both sides forget a wish with the request for its piece, and with a pass that says `held`.
 */

import { wishesPerFrameMax, wishHopsMax } from '../../wire/limits.ts';
import type { Wish } from '../../wire/messages.ts';
import { passedOnToMax, readersPerBlobMax, wishAheadMax } from '../limits.ts';
import { firstFrom, has } from '../records/bits.ts';
import { withoutWish } from '../records/parts.ts';
import { knowsWishes } from '../records/questions.ts';
import type { Blob, Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { Input } from '../types.ts';
import type { OurPullingBlob, OurReader, OurSource } from './ours.ts';

type Due = Wish & { readonly own: boolean };

// ---- readers -----------------------------------------------------------------------------------

export function moveReader(state: State, blob: Blob, { reader, at, end }: Extract<Input, { kind: 'reader' }>): void {
  const { readers } = blob.pulling as OurPullingBlob;
  const known = readers.find((one) => one.reader === reader) as OurReader | undefined;
  if (known !== undefined) {
    known.far ||= jumps(blob, known.at, at);
    known.at = at;
    known.end = end;
  } else if (readers.length < readersPerBlobMax) {
    readers.push({ reader, at, end, far: at > 0 });
  }
  readersMoved(state, blob);
}

export function removeReader(state: State, blob: Blob, reader: number): void {
  const { readers } = blob.pulling as OurPullingBlob;
  const at = readers.findIndex((one) => one.reader === reader);
  if (at >= 0) readers.splice(at, 1);
  readersMoved(state, blob);
}

/** A reader is at `to` now; whether it came there past pieces that are lacking. */
function jumps(blob: Blob, from: number, to: number): boolean {
  if (to < from) return true;
  for (let piece = from; piece < to; piece += 1) if (!blob.holds(piece)) return true;
  return false;
}

function readersMoved(state: State, blob: Blob): void {
  const ours = blob.pulling as OurPullingBlob;
  ours.astray = ours.readers.some(({ far }) => far);
  blob.wishing ||= ours.astray;
  if (blob.wishing) state.wishesMayChange(blob, true);
}

// ---- what they wish for ------------------------------------------------------------------------

/** Its piece is asked for there, or is not wanted from there: the wish is over on both sides. */
export function forgetOwnWish(source: Source, piece: number): void {
  (source as OurSource).wishes = withoutWish(source.wishes, piece);
}

/** Tells feeders what is wished for now; between batches only what cannot wait. */
export function sendWishes(state: State, batch: boolean): void {
  state.due.wishesNow = false;
  for (const blob of state.due.wishes) {
    const wishes = blob.stage === 'gone' ? [] : wishesOf(blob);
    (blob.pulling as OurPullingBlob).awaited = wishes.flatMap(({ piece, own }) => (own ? [piece] : []));
    const byOrigin = asksOrigin(blob);
    let waits = false;
    let said = false;
    for (const source of blob.pulling.sources) {
      if (source.state !== 'open' || !knowsWishes(source.link)) continue;
      const theirs = wishes.filter((wish) => tells(source, wish, byOrigin));
      if (!same(theirs, source.wishes)) {
        if (batch || hurries(source, theirs)) tell(state, source, theirs);
        else waits = true;
      }
      said ||= source.wishes.length > 0;
    }
    if (waits) continue;
    state.due.wishes.delete(blob);
    blob.wishing = said || blob.pulling.astray || blob.feeding.sinks.some((sink) => sink.wishes.length > 0);
  }
}

function hurries(source: Source, wishes: readonly Due[]): boolean {
  if (source.link.peer.address.role === 'origin') return true;
  return source.wishes.length === 0 && wishes.some(({ own }) => own);
}

function tell(state: State, source: Source, due: readonly Due[]): void {
  const wishes = due.map(({ piece, hops }) => ({ piece, hops }));
  (source as OurSource).wishes = wishes;
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
  const next = blob.pulling.readers.flatMap(({ far, at, end }) => (far ? [{ at, end }] : []));
  for (let ahead = 0; ahead < wishAheadMax && wishes.length < wishesPerFrameMax; ahead += 1) {
    for (const reader of next) {
      const piece = firstFrom(blob.pulling.open, reader.at);
      reader.at = piece < 0 ? blob.pieces : piece + 1;
      if (piece >= 0 && piece < reader.end) add(piece, wishHopsMax, true);
    }
  }
  for (const { wishes: theirs } of blob.feeding.sinks) {
    for (const { piece, hops } of theirs) if (hops > 0 && has(blob.pulling.open, piece)) add(piece, hops - 1, false);
  }
  return wishes;
}

/** Whether `source` should hear of this one: it holds it, or may find it; `byOrigin`: an origin hears of it. */
function tells(source: Source, { piece, own }: Due, byOrigin: boolean): boolean {
  const { blob } = source;
  const around = blob.pulling.holders[piece]! > 0;
  const origin = source.link.peer.address.role === 'origin';
  if (source.holds(piece)) return !origin || !around;
  if (around || source.edge.sink?.wishes.some((wish) => wish.piece === piece) === true) return false;
  return own || (!byOrigin && isChosen(blob, source, piece));
}

function asksOrigin({ pulling: { sources } }: Blob): boolean {
  return sources.some(
    ({ link, state }) => state === 'open' && knowsWishes(link) && link.peer.address.role === 'origin',
  );
}

/** Others' wishes go on to few, which differ from piece to piece. */
function isChosen({ pulling: { sources } }: Blob, source: Source, piece: number): boolean {
  return (sources.indexOf(source) + piece) % sources.length < passedOnToMax;
}
