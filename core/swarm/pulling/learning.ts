/**
 * Learning a blob: metainfo first (the tracker's word), then the piece-hash list, from any neighbour
 * and checked against the metainfo's root. Until both are here nothing is fetched and openers wait.
 *
 * A blob that grows is learned bit by bit: its length, then again and again how much of the list is known and the root
 * of that (the tracker's word too), and that part from any neighbour that is as far; at last the final metainfo and the
 * rest. Pieces whose hash is not known yet are not in scope (records.ts), and so nothing else need know of it.
 *
 * Rule 1: nothing counts as known before it agrees with a root that the host has told.
 * Rule 2: what is known never becomes less. What contradicts what was told before, or what an origin knows, is told as
 *   `odds`: the host begins anew.
 */

import { PeerFault } from '../../assert.ts';
import { type Growth, growthValid, hashBytes, type Metainfo, metainfoValid } from '../../piece.ts';
import type { Grown, Hashes } from '../../wire/messages.ts';
import { answerPending, beginFeeding } from '../feeding/feeder.ts';
import { sayKnown } from '../feeding/growing.ts';
import type { Bits } from '../records/bits.ts';
import { knowsGrowing } from '../records/questions.ts';
import type { Blob, Learning, Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { OurLearning, OurPullingBlob, OurSource } from './ours.ts';
import { sendOpen } from './sources.ts';
import { beginPieces, openLacking, openMore, reviewAll } from './wants.ts';

const noBytes = new Uint8Array(0);

// ---- what the host says ------------------------------------------------------------------------------

/** The metainfo is known: whoever waits for it opens. False where it cannot be a blob's. */
export function learnMeta(state: State, blob: Blob, meta: Metainfo): boolean {
  if (!metainfoValid(meta)) return false;
  if (blob.stage === 'growing') {
    if (sameSize(blob, meta)) aim(state, blob, meta);
    else state.due.mark('odds', blob);
    return true;
  }
  rootBlob(state, blob, meta);
  openAll(state, blob);
  if (blob.pieces === 0 && state.config.rootOf(noBytes) === meta.root) learnList(state, blob, meta, noBytes);
  return true;
}

/** So much is known of the blob while it grows. Of one whose metainfo is known it says nothing new. */
export function learnGrowth(state: State, blob: Blob, growth: Growth): void {
  if (!growthValid(growth) || (blob.stage !== 'bare' && blob.stage !== 'growing')) return;
  if (blob.stage === 'bare') {
    beginGrowing(state, blob, growth);
    openAll(state, blob);
  }
  const differs = growth.known === blob.known && growth.root !== blob.meta.root;
  if (differs || !sameSize(blob, growth)) return void state.due.mark('odds', blob);
  if (growth.known > goalOf(blob)) aim(state, blob, growth);
}

/** Its length is known, and nothing of its list. */
export function beginGrowing(state: State, blob: Blob, { length, pieceLength }: Growth): void {
  blob.root({ length, pieceLength, root: state.config.rootOf(noBytes) }, undefined, 'growing');
  beginPieces(blob, state.zoned);
  beginFeeding(state, blob);
}

export function sameSize({ meta }: Blob, { length, pieceLength }: Metainfo | Growth): boolean {
  return meta.length === length && meta.pieceLength === pieceLength;
}

function openAll(state: State, blob: Blob): void {
  for (const { source } of blob.graph.edges) if (source !== undefined) sendOpen(state, source);
}

/** `have` pieces of it are here. */
export function rootBlob(state: State, blob: Blob, meta: Metainfo, have?: (pieces: number) => Bits): void {
  blob.root(meta, have);
  beginPieces(blob, state.zoned);
  begin(state, blob, meta);
}

function begin(state: State, blob: Blob, goal: Learning['goal']): void {
  const at = { lead: undefined, at: blob.known, askedMs: 0, hashes: blob.hashes };
  (blob.pulling as OurPullingBlob).learning = { sinceMs: state.nowMs, ...at, goal };
}

/** More of the list is to be known than is: it is asked of whoever is as far. */
function aim(state: State, blob: Blob, goal: Learning['goal']): void {
  const ours = blob.pulling as OurPullingBlob;
  const { learning } = ours;
  // What is under way comes first, unless it is far; the next that is told will be more.
  const busy = learning?.lead !== undefined && learning.lead.knows < untilOf(blob, goal);
  if (busy && 'known' in goal) return;
  ours.behind = false;
  if (learning === undefined || busy) begin(state, blob, goal);
  else (learning as OurLearning).goal = goal;
  if (blob.pulling.learning?.lead === undefined) askHashes(state, blob);
}

/** How much of the list is known, or will be when what is being learned is here. */
function goalOf(blob: Blob): number {
  const { learning } = blob.pulling;
  return learning === undefined ? blob.known : untilOf(blob, learning.goal);
}

function untilOf(blob: Blob, goal: Learning['goal']): number {
  return 'known' in goal ? goal.known : blob.pieces;
}

// ---- what is known by now ------------------------------------------------------------------------------

/** Opens what is lacking. Of one that grew, who has been waiting is still to be answered. */
export function makeReady(state: State, blob: Blob, meta: Metainfo, hashes: Uint8Array): void {
  const { stage, known } = blob;
  blob.ready(meta, hashes);
  (blob.pulling as OurPullingBlob).learning = undefined;
  if (stage === 'growing') return widens(state, blob, known);
  openLacking(blob);
  beginFeeding(state, blob);
  reviewAll(state, blob);
}

/** More of the list of a blob that grows is known and right. */
export function makeKnown(state: State, blob: Blob, growth: Growth, hashes: Uint8Array): void {
  const { known } = blob;
  blob.grow(growth, hashes);
  const ours = blob.pulling as OurPullingBlob;
  if (ours.learning !== undefined && goalOf(blob) <= blob.known) ours.learning = undefined;
  widens(state, blob, known);
}

/** The list was known up to `before`: neighbours hear so, and the new pieces are fetched. */
function widens(state: State, blob: Blob, before: number): void {
  for (const source of blob.pulling.sources) if (source.state === 'open') tellKnown(state, source);
  for (const sink of blob.feeding.sinks) sayKnown(state, sink);
  openMore(state, blob, before);
  reviewAll(state, blob);
}

/** The feeder hears how much of the list we know: it names no piece beyond that. */
export function tellKnown(state: State, { link, swarm, blob }: Source): void {
  if (knowsGrowing(link)) state.send(link, { kind: 'grown', swarm, known: blob.known });
}

/** The blob is gone. */
export function stopLearning(blob: Blob): void {
  (blob.pulling as OurPullingBlob).learning = undefined;
}

function reached(state: State, blob: Blob, goal: Learning['goal'], hashes: Uint8Array): void {
  if (!('known' in goal)) return learnList(state, blob, goal, hashes);
  state.out.push({ kind: 'learned', blob: blob.no, growth: goal, hashes });
  makeKnown(state, blob, goal, hashes);
}

/** The hash list is known and agrees with the root: the blob is ready. */
function learnList(state: State, blob: Blob, meta: Metainfo, hashes: Uint8Array): void {
  state.out.push({ kind: 'learned', blob: blob.no, meta, hashes });
  makeReady(state, blob, meta, hashes);
  answerPending(state, blob);
  if (blob.complete) state.due.mark('finished', blob);
}

// ---- the list, from neighbours -----------------------------------------------------------------------------

/** A frame of the list from `source`. */
export function onHashes(state: State, source: Source, message: Hashes): void {
  const { blob } = source;
  const { from, total, hashes } = message;
  const count = hashes.length / hashBytes;
  if (!Number.isInteger(count) || from + count > total) throw new PeerFault('hash list out of bounds');
  if (total !== blob.pieces || source.state !== 'opening') knowsSoMuch(source, total);
  const learning = blob.pulling.learning as OurLearning | undefined;
  if (learning === undefined) return;
  const until = untilOf(blob, learning.goal);
  // A list that comes whole is taken from whoever sends it: its piece may follow at once, whoever leads by now.
  const whole = from === 0 && count === total && until === total;
  if (!whole && (learning.lead !== source || from !== learning.at)) return;
  if (count === 0 && total > from) throw new PeerFault('empty hash list');
  const taken = Math.min(count, until - from);
  learning.hashes = joined(blob, learning, from, hashes.subarray(0, taken * hashBytes));
  learning.at = from + taken;
  if (learning.at < until) {
    if (source.knows > learning.at) return ask(state, learning, source);
    return askHashes(state, blob);
  }
  if (state.config.rootOf(learning.hashes) === learning.goal.root)
    return reached(state, blob, learning.goal, learning.hashes);
  begin(state, blob, learning.goal);
  // What we know agreed with a root before: an origin that knows otherwise has received something else since.
  if (blob.known > 0 && source.link.peer.address.role === 'origin') return void state.due.mark('odds', blob);
  throw new PeerFault('hash list does not match its root');
}

/** The feeder knows more of a list that grows. */
export function onGrown(state: State, source: Source, { known }: Grown): void {
  if (source.state === 'closed') return;
  if (!knowsGrowing(source.link)) throw new PeerFault('grows without its feature');
  if (source.state !== 'open' && source.state !== 'parting') throw new PeerFault('grown before opened');
  knowsSoMuch(source, known);
  mayLead(state, source);
}

/** It has everything, and so knows the whole list. */
export function knowsAll(source: Source): void {
  (source as OurSource).knows = source.blob.pieces;
}

function knowsSoMuch(source: Source, known: number): void {
  const { blob, knows } = source;
  if (known > blob.pieces || (known < blob.pieces && !knowsGrowing(source.link)))
    throw new PeerFault('hash list out of bounds');
  if (known < knows) throw new PeerFault('knows less of the hash list than before');
  (source as OurSource).knows = known;
}

/** An open source: the list is asked of it, where it is asked of nobody who is open. */
export function mayLead(state: State, source: Source): void {
  const { blob } = source;
  const learning = blob.pulling.learning as OurLearning | undefined;
  if (blob.stage === 'growing' && source.knows > goalOf(blob)) isBehind(state, blob, source.knows);
  if (learning === undefined || learning.lead === source || learning.lead?.state === 'open') return;
  if (source.knows < untilOf(blob, learning.goal)) return;
  restart(blob, learning);
  ask(state, learning, source);
}

/** A neighbour is further than the host has told: the host hears so, once, and once more where it knows all. */
function isBehind(state: State, blob: Blob, knows: number): void {
  const ours = blob.pulling as OurPullingBlob;
  const by = knows === blob.pieces ? 'whole' : 'more';
  if (ours.behind === by || ours.behind === 'whole') return;
  ours.behind = by;
  state.out.push({ kind: 'refresh', blob: blob.no, whole: by === 'whole' });
}

/** Asks an open source for the list from its start, another one than last time where there is one. */
export function askHashes(state: State, blob: Blob): void {
  const { pulling } = blob;
  const learning = pulling.learning as OurLearning | undefined;
  if (learning === undefined) return;
  const until = untilOf(blob, learning.goal);
  const able = (source: Source): boolean => source.state === 'open' && source.knows >= until;
  const others = pulling.sources.filter((source) => source !== learning.lead && able(source));
  const lead = others[others.length === 0 ? 0 : state.config.prng.below(others.length)] ?? learning.lead;
  restart(blob, learning);
  learning.askedMs = state.nowMs;
  // Where nobody is open yet the next Open asks.
  learning.lead = undefined;
  if (lead !== undefined && able(lead)) ask(state, learning, lead);
}

function restart({ known, hashes }: Blob, learning: OurLearning): void {
  learning.at = known;
  learning.hashes = hashes;
}

/** For the next frame. */
function ask(state: State, learning: OurLearning, lead: Source): void {
  learning.lead = lead;
  learning.askedMs = state.nowMs;
  state.send(lead.link, { kind: 'wantHashes', swarm: lead.swarm, from: learning.at });
}

/** The list so far with this frame in it; frames that lie side by side in memory are joined without a copy. */
function joined({ pieces, pulling }: Blob, { hashes: before }: Learning, from: number, frame: Uint8Array): Uint8Array {
  if (from === 0) return frame;
  const adjacent = before.buffer === frame.buffer && before.byteOffset + before.length === frame.byteOffset;
  const length = before.length + frame.length;
  if (adjacent) return new Uint8Array(frame.buffer, before.byteOffset, length);
  const ours = pulling as OurPullingBlob;
  if (ours.list.length === 0) ours.list = new Uint8Array(pieces * hashBytes);
  // What comes from another peer begins where the known part ends, which nothing writes to again.
  if (before.buffer !== ours.list.buffer) ours.list.set(before);
  ours.list.set(frame, before.length);
  return ours.list.subarray(0, length);
}
