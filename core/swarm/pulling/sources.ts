/**
 * Learning a blob: metainfo first (the tracker's word), then the piece-hash list, from any neighbour
 * and checked against the metainfo's root. Until both are here nothing is fetched and openers wait.
 * And the life of a source (records/lives.ts): the blob as we pull it from one peer.
 *
 * Rule: a closed source stays on its link until the pieces that were on their way have come, for the host must still be
 *   told what they are.
 */

import { PeerFault } from '../../assert.ts';
import { hashBytes, type Metainfo, metainfoValid } from '../../piece.ts';
import type { Hashes, Opened } from '../../wire/messages.ts';
import { beginFeeding } from '../feeding/feeder.ts';
import { type Bits, fromBytes } from '../records/bits.ts';
import { next, sourceLife } from '../records/lives.ts';
import { takeOut } from '../records/parts.ts';
import { type Blob, type Edge, type Learning, type OutLink, Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import { abandon, land } from './flights.ts';
import type { OurLearning, OurPullingBlob, OurPullingLink, OurSource } from './ours.ts';
import { beginPieces, join, leave, openLacking, review, reviewAll } from './wants.ts';

// ---- a source ---------------------------------------------------------------------------------------

/** How one begins: `token` and `via` by an edge offer. */
export type Invitation = { readonly token: number; readonly via: Source | undefined };

export function beginSource(state: State, edge: Edge, at: { link: OutLink; swarm: number }, by: Invitation): Source {
  const source = new Source(edge, at.link, at.swarm, { ...by, nowMs: state.nowMs });
  (at.link as OurPullingLink).sources.push(source);
  return source;
}

/** Sends Open as soon as there is a link and a metainfo to size its answer by. */
export function sendOpen(state: State, source: Source): void {
  const { blob, link } = source;
  if (link.state === 'dialling' || blob.stage === 'bare') return;
  if (source.state !== 'waiting' && source.state !== 'offered') return;
  const ours = become(state, source, 'opening');
  const learning = blob.pulling.learning as OurLearning | undefined;
  const leads = learning !== undefined && learning.lead === undefined;
  if (leads) {
    learning.lead = source;
    learning.askedMs = state.nowMs;
  }
  // One opener at a time asks for what comes unasked, else every feeder sends it.
  ours.gift = leads && blob.heldCount === 0;
  state.send(link, {
    kind: 'open',
    swarm: source.swarm,
    digest: blob.digest,
    token: source.token,
    empty: source.gift,
    needHashes: leads,
  });
}

/** The feeder is full: we are to open it again with this token. */
export function offered(state: State, source: Source, token: number): void {
  become(state, source, 'offered').token = token;
  noLead(source);
}

/** The feeder has answered: from here on the source counts. */
export function opened(state: State, source: Source, { all, have }: Opened): void {
  const ours = source as OurSource;
  ours.state = next(sourceLife, source.state, 'open');
  // Only a feeder that has it whole when it answers sends it unasked; its later grants are grants.
  if (!all) ours.gift = false;
  join(state, source, all ? 'all' : fromBytes(have, source.blob.pieces));
}

/** The one by whose offer this one came about, once. */
export function takeVia(source: Source): Source | undefined {
  const { via } = source;
  (source as OurSource).via = undefined;
  return via;
}

/** Takes no more pieces from an open source. */
export function partSource(state: State, source: Source): void {
  (source as OurSource).state = next(sourceLife, source.state, 'parting');
  review(state, source);
}

/** What was on its way from `source` is open again. */
export function endSource(state: State, source: Source): void {
  leave(source);
  become(state, source, 'closed');
  for (const flight of source.flights) abandon(state, flight);
  noLead(source);
  dropClosed(source);
}

/** A closed source whose last piece has come is forgotten. */
export function dropClosed(source: Source): void {
  if (source.state === 'closed' && source.flights.length === 0)
    takeOut((source.link as OurPullingLink).sources, source);
}

/** The link of a closed source is gone: nothing comes any more. */
export function loseSource(state: State, source: Source): void {
  if (source.flights.length > 0) state.due.loss = true;
  while (source.flights.length > 0) land(state, source.flights[0]!);
  dropClosed(source);
}

function noLead(source: Source): void {
  const learning = source.blob.pulling.learning as OurLearning | undefined;
  if (learning?.lead === source) learning.lead = undefined;
}

function become(state: State, source: Source, to: Source['state']): OurSource {
  const ours = source as OurSource;
  ours.state = next(sourceLife, source.state, to);
  ours.sinceMs = state.nowMs;
  return ours;
}

// ---- metainfo and hash list -------------------------------------------------------------------------

const noBytes = new Uint8Array(0);

/** The metainfo is known: whoever waits for it opens. False where it cannot be a blob's. */
export function learnMeta(state: State, blob: Blob, meta: Metainfo): boolean {
  if (!metainfoValid(meta)) return false;
  rootBlob(state, blob, meta);
  for (const { source } of blob.graph.edges) if (source !== undefined) sendOpen(state, source);
  if (blob.pieces === 0 && state.config.rootOf(noBytes) === meta.root) learnHashes(state, blob, noBytes);
  return true;
}

/** `have` pieces of it are here. */
export function rootBlob(state: State, blob: Blob, meta: Metainfo, have?: (pieces: number) => Bits): void {
  blob.root(meta, have);
  beginPieces(blob);
  (blob.pulling as OurPullingBlob).learning = {
    sinceMs: state.nowMs,
    lead: undefined,
    at: 0,
    askedMs: 0,
    hashes: noBytes,
  };
}

/** Opens what is lacking, and answers who has been waiting. */
export function makeReady(state: State, blob: Blob, hashes: Uint8Array): void {
  blob.ready(hashes);
  (blob.pulling as OurPullingBlob).learning = undefined;
  openLacking(blob);
  beginFeeding(state, blob);
  reviewAll(state, blob);
}

/** The blob is gone. */
export function stopLearning(blob: Blob): void {
  (blob.pulling as OurPullingBlob).learning = undefined;
}

/** The hash list is known and agrees with the root: the blob is ready. */
function learnHashes(state: State, blob: Blob, hashes: Uint8Array): void {
  state.out.push({ kind: 'learned', blob: blob.no, meta: blob.meta, hashes });
  makeReady(state, blob, hashes);
  if (blob.complete) state.due.finished.add(blob);
}

/** A frame of the list from `source`. */
export function onHashes(state: State, source: Source, message: Hashes): void {
  const { blob } = source;
  const { from, total, hashes } = message;
  const count = hashes.length / hashBytes;
  if (total !== blob.pieces || !Number.isInteger(count) || from + count > total)
    throw new PeerFault('hash list out of bounds');
  const learning = blob.pulling.learning as OurLearning | undefined;
  if (learning === undefined) return;
  // A list that comes whole is taken from whoever sends it: its piece may follow at once, whoever leads by now.
  const whole = from === 0 && count === total;
  if (!whole && (learning.lead !== source || from !== learning.at)) return;
  if (count === 0 && total > 0) throw new PeerFault('empty hash list');
  learning.hashes = joined(blob, learning, from, hashes);
  learning.at = from + count;
  if (learning.at < total) return ask(state, learning, source);
  if (state.config.rootOf(learning.hashes) !== blob.meta.root) {
    learning.hashes = noBytes;
    learning.at = 0;
    throw new PeerFault('hash list does not match its root');
  }
  learnHashes(state, blob, learning.hashes);
}

/** An open source: the list is asked of it, where it is asked of nobody who is open. */
export function mayLead(state: State, source: Source): void {
  const learning = source.blob.pulling.learning as OurLearning | undefined;
  if (learning === undefined || learning.lead === source || learning.lead?.state === 'open') return;
  learning.at = 0;
  ask(state, learning, source);
}

/** Asks an open source for the list from its start, another one than last time where there is one. */
export function askHashes(state: State, { pulling }: Blob): void {
  const learning = pulling.learning as OurLearning | undefined;
  if (learning === undefined) return;
  const others = pulling.sources.filter((source) => source !== learning.lead && source.state === 'open');
  const lead = others[others.length === 0 ? 0 : state.config.prng.below(others.length)] ?? learning.lead;
  learning.at = 0;
  learning.askedMs = state.nowMs;
  // Where nobody is open yet the next Open asks.
  learning.lead = undefined;
  if (lead?.state === 'open') ask(state, learning, lead);
}

/** For the next frame. */
function ask(state: State, learning: OurLearning, lead: Source): void {
  learning.lead = lead;
  learning.askedMs = state.nowMs;
  state.send(lead.link, { kind: 'wantHashes', swarm: lead.swarm, from: learning.at });
}

/** The list so far with this frame in it; frames that lie side by side in memory are joined without a copy. */
function joined({ pieces }: Blob, { hashes: before }: Learning, from: number, frame: Uint8Array): Uint8Array {
  if (from === 0) return frame;
  const adjacent = before.buffer === frame.buffer && before.byteOffset + before.length === frame.byteOffset;
  if (adjacent) return new Uint8Array(frame.buffer, before.byteOffset, before.length + frame.length);
  const whole = pieces * hashBytes;
  let list = before;
  if (before.length < whole) {
    list = new Uint8Array(whole);
    list.set(before);
  }
  list.set(frame, from * hashBytes);
  return list;
}
