/**
 * Keeps, piece by piece, what is open and how much each source has of it, so that nobody ever has
 * to count: a source's `count` is the number of its pieces that we lack and do not fetch. And so the
 * wants: how many pieces each feeder is told that we would take from it. What changes goes out with the
 * next batch; a want that goes from nothing to something does not wait for it.
 *
 * Rule 1: every change of `open`, `bits`, `holders` and `count` happens here.
 * Rule 2: a source whose count leaves or reaches zero is queued for a Wants.
 */

import { assert } from '../../assert.ts';
import type { Inbound } from '../../wire/messages.ts';
import { add, type Bits, bits, full, Holdings, has, ones, remove } from '../records/bits.ts';
import { isBound, isNearAgent, openCountTo, openTo } from '../records/questions.ts';
import type { Blob, OutLink, Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { OurAbroad, OurDownlink, OurFeeder, OurPullingBlob, OurSource } from './ours.ts';
import { inbound, wanted } from './trust.ts';

// ---- what is open, and who has it ---------------------------------------------------------------

/** The metainfo is known: makes room for the pieces. */
export function beginPieces(blob: Blob, zoned: boolean): void {
  const ours = blob.pulling as OurPullingBlob;
  if (zoned) {
    const abroad = ours.abroad as OurAbroad;
    abroad.kept = true;
    abroad.open = bits(blob.pieces);
    abroad.near = new Uint8Array(blob.pieces);
  }
  ours.open = bits(blob.pieces);
  ours.holders = new Uint8Array(blob.pieces);
  ours.holdings = new Holdings(blob.pieces);
}

/** Opens every piece that we lack: the blob is ready to be fetched. */
export function openLacking(blob: Blob): void {
  if (!blob.pull) return;
  const ours = blob.pulling as OurPullingBlob;
  const all = full(blob.pieces);
  for (let w = 0; w < all.length; w += 1) ours.open[w] = all[w]! & ~blob.held[w]!;
  ours.openCount = blob.pieces - blob.heldCount;
  reopenAbroad(blob);
  for (const source of ours.sources) recount(source);
}

/** Of a blob that grows: the hashes are known from `from` on, so that these pieces may be fetched. */
export function openMore(state: State, blob: Blob, from: number): void {
  if (!blob.pull) return;
  const ours = blob.pulling as OurPullingBlob;
  for (let piece = from; piece < blob.known; piece += 1) {
    if (has(blob.held, piece) || !blob.inScope(piece)) continue;
    add(ours.open, piece);
    ours.openCount += 1;
  }
  reopenAbroad(blob);
  for (const source of ours.sources) recount(source);
  if (blob.wishing) state.wishesMayChange(blob, false);
}

/** A piece that was open is on its way now. */
export function take(state: State, blob: Blob, piece: number): void {
  const ours = blob.pulling as OurPullingBlob;
  const { open, sources, holdings } = ours;
  const { counts, bits: theirs, places } = holdings;
  const w = piece >>> 5;
  const mask = 1 << (piece & 31);
  assert((open[w]! & mask) !== 0, 'took a piece that is not open');
  open[w]! &= ~mask;
  ours.openCount -= 1;
  if (blob.wishing) state.wishesMayChange(blob, ours.awaited.includes(piece));
  for (let i = 0; i < sources.length; i += 1) {
    if ((theirs[w * places + i]! & mask) !== 0) {
      if (ours.abroad.kept && isBound(sources[i]!)) continue;
      counts[i]! -= 1;
      if (counts[i] === 0) review(state, sources[i]!);
    } else if (ours.openCount === 0 && sources[i]!.all) review(state, sources[i]!);
  }
  if (ours.abroad.kept) reopen(state, blob, piece);
}

/** A piece that was on its way, held, or not in scope is lacking again. */
export function giveBack(state: State, blob: Blob, piece: number): void {
  const ours = blob.pulling as OurPullingBlob;
  if (!blob.pull || !blob.usable || has(blob.held, piece) || has(ours.open, piece)) return;
  if (!blob.inScope(piece)) return;
  add(ours.open, piece);
  ours.openCount += 1;
  if (blob.wishing) state.wishesMayChange(blob, false);
  const { sources, holdings } = ours;
  for (let i = 0; i < sources.length; i += 1) {
    const source = sources[i]!;
    if (source.all) {
      review(state, source);
    } else if (holdings.has(i, piece) && !isBound(source)) {
      holdings.counts[i]! += 1;
      review(state, source);
    }
  }
  if (ours.abroad.kept) reopen(state, blob, piece);
}

/** The source holds these as well. Its pieces are within the blob: the caller checked. */
export function addHaves(state: State, source: Source, pieces: ArrayLike<number>): void {
  const { all, place } = source;
  if (all) return;
  const { holders, abroad, holdings } = source.blob.pulling as OurPullingBlob;
  const { bits: theirs, places } = holdings;
  const open = openTo(source);
  const near = isNearAgent(source);
  let count = source.count;
  for (let i = 0; i < pieces.length; i += 1) {
    const piece = pieces[i]!;
    const w = piece >>> 5;
    const mask = 1 << (piece & 31);
    if ((theirs[w * places + place]! & mask) !== 0) continue;
    theirs[w * places + place]! |= mask;
    if (source.counted) holders[piece]! += 1;
    if (near) (abroad as OurAbroad).near[piece]! += 1;
    if (near) reopen(state, source.blob, piece);
    if ((open[w]! & mask) !== 0) count += 1;
  }
  holdings.counts[place] = count;
  if (source.blob.wishing) state.wishesMayChange(source.blob, false);
  if (source.told === 0 && count > 0) review(state, source);
}

/** From here on the source counts, as holding these: its pieces are added to everybody's. */
export function join(state: State, source: Source, theirs: Bits | 'all'): void {
  const ours = source as OurSource;
  const { blob } = source;
  const { sources, holdings } = blob.pulling as OurPullingBlob;
  ours.place = sources.push(source) - 1;
  ours.all = theirs === 'all';
  holdings.set(ours.place, theirs === 'all' ? undefined : theirs);
  if (theirs !== 'all') shift(source, theirs, 1);
  nearChanges(state, source, theirs === 'all' ? 1 : 0);
  recount(source);
  if (blob.wishing) state.wishesMayChange(blob, blob.pulling.astray);
  review(state, source);
}

/** The source no longer counts. */
export function leave(state: State, source: Source): void {
  const { sources, holdings } = source.blob.pulling as OurPullingBlob;
  const { place, all } = source;
  if (place < 0) return;
  const theirs = holdings.of(place);
  const last = sources.length - 1;
  const moved = sources[last] as OurSource;
  sources[place] = moved;
  sources.pop();
  holdings.move(last, place);
  moved.place = place;
  (source as OurSource).place = -1;
  if (!all) shift(source, theirs, -1);
  nearChanges(state, source, all ? -1 : 0);
}

/** The source holds everything now. */
export function holdsAll(state: State, source: Source): void {
  if (source.all) return;
  const { holdings } = source.blob.pulling as OurPullingBlob;
  shift(source, holdings.of(source.place), -1);
  (source as OurSource).all = true;
  holdings.set(source.place, undefined);
  nearChanges(state, source, 1);
  if (source.blob.wishing) state.wishesMayChange(source.blob, false);
  review(state, source);
}

/** The source does not hold this piece after all. */
export function lacks(state: State, source: Source, piece: number): void {
  const { blob, place } = source;
  const { holdings, holders } = blob.pulling as OurPullingBlob;
  if (source.all) {
    const theirs = full(blob.pieces);
    (source as OurSource).all = false;
    holdings.set(place, theirs);
    shift(source, theirs, 1);
    nearChanges(state, source, -1);
    holdings.counts[place] = openCountTo(source);
  }
  if (!source.holds(piece)) return;
  holdings.bits[(piece >>> 5) * holdings.places + place]! &= ~(1 << (piece & 31));
  if (source.counted) holders[piece]! -= 1;
  if (has(openTo(source), piece)) holdings.counts[place]! -= 1;
  if (isNearAgent(source)) {
    (blob.pulling.abroad as OurAbroad).near[piece]! -= 1;
    reopen(state, blob, piece);
  }
  if (blob.wishing) state.wishesMayChange(blob, false);
  review(state, source);
}

function shift(source: Source, theirs: Bits, by: 1 | -1): void {
  const { blob, counted } = source;
  if (!counted) return;
  const { holders, abroad } = blob.pulling as OurPullingBlob;
  const near = isNearAgent(source) ? (abroad as OurAbroad).near : undefined;
  for (let w = 0; w < theirs.length; w += 1) {
    let word = theirs[w]!;
    while (word !== 0) {
      const bit = word & -word;
      const piece = (w << 5) + 31 - Math.clz32(bit);
      holders[piece]! += by;
      if (near !== undefined) near[piece]! += by;
      word ^= bit;
    }
  }
}

function recount(source: Source): void {
  const { bits: theirs, counts, places } = (source.blob.pulling as OurPullingBlob).holdings;
  const { all, place } = source;
  const open = openTo(source);
  let count = 0;
  if (!all) for (let w = 0; w < open.length; w += 1) count += ones(theirs[w * places + place]! & open[w]!);
  counts[place] = count;
}

// ---- what may come from other zones --------------------------------------------------------------

/** The piece opened or closed, or an agent of our zone has it, or has it no longer. */
function reopen(state: State, blob: Blob, piece: number): void {
  const { open, sources, holdings } = blob.pulling as OurPullingBlob;
  const abroad = blob.pulling.abroad as OurAbroad;
  const opens = abroad.nearAll === 0 && abroad.near[piece] === 0 && has(open, piece);
  if (opens === has(abroad.open, piece)) return;
  if (opens) add(abroad.open, piece);
  else remove(abroad.open, piece);
  abroad.count += opens ? 1 : -1;
  for (const source of sources) {
    if (!isBound(source)) continue;
    if (!source.all && source.holds(piece)) holdings.counts[source.place]! += opens ? 1 : -1;
    review(state, source);
  }
}

/** `source` came, went, or has everything now: so many more in our zone have. */
function nearChanges(state: State, source: Source, all: 1 | 0 | -1): void {
  if (!isNearAgent(source)) return;
  (source.blob.pulling.abroad as OurAbroad).nearAll += all;
  abroadChanges(state, source.blob);
}

/** Whatever may come from others may be another set now. */
export function abroadChanges(state: State, blob: Blob): void {
  reopenAbroad(blob);
  for (const source of blob.pulling.sources) {
    if (!source.link.peer.far) continue;
    recount(source);
    review(state, source);
  }
}

function reopenAbroad({ pulling: { open, abroad } }: Blob): void {
  const ours = abroad as OurAbroad;
  if (!ours.kept) return;
  ours.count = 0;
  for (let w = 0; w < open.length; w += 1) {
    let word = ours.nearAll > 0 ? 0 : open[w]!;
    let kept = word;
    while (word !== 0) {
      const bit = word & -word;
      if (ours.near[(w << 5) + 31 - Math.clz32(bit)]! > 0) kept ^= bit;
      word ^= bit;
    }
    ours.open[w] = kept;
    ours.count += ones(kept);
  }
}

// ---- what feeders are told ----------------------------------------------------------------------

/** Queues a Wants if its feeder believes the wrong thing about whether we want anything. */
export function review(state: State, source: Source): void {
  const count = wanted(source);
  if ((source.told === 0) === (count === 0)) return;
  if (source.told === 0) state.due.wants = true;
  if (source.queued) return;
  (source as OurSource).queued = true;
  (state.down as OurDownlink).wants.push(source);
  state.batch();
}

export function reviewAll(state: State, blob: Blob): void {
  for (const source of blob.pulling.sources) review(state, source);
}

/** What its feeder hears along with any message about `source`. */
export function toldOf(state: State, source: Source): Inbound & { readonly count: number } {
  (source as OurSource).told = wanted(source);
  const { inPieces, inBytes } = load(state, source.link);
  return { count: source.told, inPieces, inBytes };
}

function load(state: State, link: OutLink): Inbound {
  const told = inbound(state, link);
  (link.feeder as OurFeeder).toldOthers = told.inPieces - flightsOn(link);
  return told;
}

/** Pieces on their way from others, as the feeder on `link` would hear of them now. */
export function othersThan(state: State, link: OutLink): number {
  return inbound(state, link).inPieces - flightsOn(link);
}

function flightsOn({ sources }: OutLink): number {
  let count = 0;
  for (let i = 0; i < sources.length; i += 1) count += sources[i]!.flights.length;
  return count;
}

/** Tells the feeder on `link` what has changed, at once. */
export function tellWants(state: State, link: OutLink): void {
  const swarms: { swarm: number; count: number }[] = [];
  for (const source of link.sources) {
    const count = wanted(source);
    if (count === source.told) continue;
    (source as OurSource).told = count;
    swarms.push({ swarm: source.swarm, count });
  }
  state.send(link, { kind: 'wants', swarms, ...load(state, link) });
}

/** Sends the counts that changed, one message a link; between batches only those that cannot wait. */
export function sendWants(state: State, batch: boolean): void {
  state.due.wants = false;
  const queue = (state.down as OurDownlink).wants;
  if (queue.length === 0) return;
  if (queue.length > 1) queue.sort((a, b) => a.link.no - b.link.no);
  let swarms: { swarm: number; count: number }[] = [];
  let kept = 0;
  for (let i = 0; i < queue.length; i += 1) {
    const source = queue[i] as OurSource;
    if (!batch && source.told > 0) {
      queue[kept] = source;
      kept += 1;
    } else {
      source.queued = false;
      const count = source.state === 'open' || source.state === 'parting' ? wanted(source) : source.told;
      if (count !== source.told) swarms.push({ swarm: source.swarm, count });
      source.told = count;
    }
    if (swarms.length > 0 && queue[i + 1]?.link !== source.link) {
      state.send(source.link, { kind: 'wants', swarms, ...load(state, source.link) });
      swarms = [];
    }
  }
  queue.length = kept;
}
