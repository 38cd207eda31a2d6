/**
 * The feeder: the life of a sink (records/lives.ts), what a puller says to us, and how its answers to grants become
 * feeds. graph/opening.ts: Open and Close.
 */

import { PeerFault } from '../../assert.ts';
import { hashBytes } from '../../piece.ts';
import { hashesPerFrameMax } from '../../wire/limits.ts';
import type {
  Cancel,
  Elsewhere,
  Grown,
  Open,
  Pass,
  Receipt,
  Request,
  WantHashes,
  Wants,
  Wishes,
} from '../../wire/messages.ts';
import { toBytes } from '../records/bits.ts';
import { next, sinkLife } from '../records/lives.ts';
import { type Allowance, takeOut } from '../records/parts.ts';
import { findSink, knowsGrowing, knowsWishes } from '../records/questions.ts';
import { type Blob, type Edge, type InLink, type Sink, SinkRecord } from '../records/records.ts';
import type { SinkWish } from '../records/sink.ts';
import type { State } from '../records/state.ts';
import { mayAnswer } from './growing.ts';
import { tellOf } from './haves.ts';
import type { OurFeedingBlob, OurFeedingLink, OurPuller, OurSink } from './ours.ts';
import { beginUnsent, cameBack, isElsewhere, takeBack } from './unsent.ts';
import {
  accept,
  downlinkIsFull,
  end,
  forgetPullerWish,
  grant,
  hasRoomAgain,
  hear,
  receipted,
  regrant,
  setCount,
} from './uplink.ts';

// ---- a sink, and the hash list that it asks for -----------------------------------------------------

const noBytes = new Uint8Array(0);

/** The peer on `link` opens the blob of `edge`. */
export function beginSink(state: State, edge: Edge, link: InLink, asked: Open): Sink {
  const sink: Sink = new SinkRecord(state.up.sinks, edge, link, asked);
  const blob = edge.blob.feeding as OurFeedingBlob;
  (link as OurFeedingLink).sinks.push(sink);
  blob.sinks.push(sink);
  blob.sinkRows.push(sink.at);
  return sink;
}

/** Pieces of the blob may be fed: answers who has been waiting. */
export function beginFeeding(state: State, blob: Blob): void {
  beginUnsent(state, blob);
  answerPending(state, blob);
}

export function answerPending(state: State, blob: Blob): void {
  for (const sink of blob.feeding.sinks) if (sink.state === 'pending' && mayAnswer(sink)) answerOpen(state, sink);
}

/** The answer to Open, with what was asked for along with it. */
export function answerOpen(state: State, sink: Sink): void {
  const { blob, link, swarm } = sink;
  const { fresh, freshBase } = blob.feeding;
  const all = blob.complete;
  const have = all ? noBytes : toBytes(blob.held, blob.pieces);
  const ours = sink as OurSink;
  ours.state = next(sinkLife, sink.state, 'open');
  ours.told = freshBase + fresh.length;
  ours.toldKnown = blob.known;
  const { meta, known } = blob;
  const growing = blob.stage === 'growing';
  state.send(link, { kind: 'opened', swarm, meta, all, growing, have, ...(growing ? { known } : {}) });
  if (sink.needHashes) sendHashes(state, sink, 0);
  if (!sink.empty || blob.pieces !== 1 || !all) return;
  const length = blob.meta.length;
  const allowance = grant(state, sink, 0, length);
  accept(state, sink, allowance, 0);
  state.out.push({ kind: 'feed', link: link.no, grant: allowance.grant, swarm, blob: blob.no, piece: 0, length });
}

/** One frame of the hash list, from piece `from`. */
export function sendHashes(state: State, { blob, link, swarm }: Sink, from: number): void {
  const { known } = blob;
  const until = Math.min(known, from + hashesPerFrameMax);
  const hashes = blob.hashes.subarray(from * hashBytes, until * hashBytes);
  link.puller.hashLists.spend(hashes.length, state.nowMs);
  state.send(link, { kind: 'hashes', swarm, from: Math.min(from, known), total: known, hashes });
}

/** Gives `sink` no more grants; its puller closes it. */
export function partSink(state: State, sink: Sink): void {
  (sink as OurSink).state = next(sinkLife, sink.state, 'parting');
  setCount(state, sink, 0);
}

/** Takes back what `sink` was granted, and forgets it. */
export function endSink(state: State, sink: Sink): void {
  const { blob, link, swarm } = sink;
  takeBack(sink);
  setCount(state, sink, 0);
  while (sink.allowances.length > 0) {
    const allowance = sink.allowances[sink.allowances.length - 1]!;
    const { grant: no, piece, state: was } = allowance;
    end(state, sink, allowance, false);
    if (was === 'sending') state.out.push({ kind: 'unfeed', link: link.no, grant: no, swarm, piece });
  }
  (sink as OurSink).state = next(sinkLife, sink.state, 'closed');
  const feeding = blob.feeding as OurFeedingBlob;
  takeOut(feeding.sinks, sink);
  takeOut(feeding.sinkRows, sink.at);
  takeOut((link as OurFeedingLink).sinks, sink);
  sink.end();
  if (blob.wishing) state.wishesMayChange(blob, false);
}

// ---- what a puller says -----------------------------------------------------------------------------

/** The link is gone, and has no sinks any more. */
export function endPuller({ puller }: InLink): void {
  puller.end();
}

/** Anything at all came on `link`. */
export function heard(state: State, link: InLink): void {
  (link.puller as OurPuller).heardMs = state.nowMs;
}

export function onWants(state: State, link: InLink, message: Wants): void {
  hasRoomAgain(link, message);
  hear(state, link, message);
  for (const { swarm, count } of message.swarms) heardCount(state, sinkOf(link, swarm), count);
}

export function onRequest(state: State, link: InLink, message: Request): void {
  const sink = sinkOf(link, message.swarm);
  if (message.grant >= link.puller.nextGrant) throw new PeerFault('request without a grant');
  if (sink === undefined) return hear(state, link, message);
  const { blob, swarm } = sink;
  const { grant, piece } = message;
  if (piece >= blob.pieces) throw new PeerFault('request of a piece beyond the blob');
  const allowance = findAllowance(sink, grant) ?? regrant(state, sink, grant);
  if (allowance?.state === 'sending') throw new PeerFault('grant is used twice');
  if (allowance?.named === true && allowance.piece !== piece)
    throw new PeerFault('request of another piece than named');
  const gives = allowance !== undefined && blob.holds(piece);
  if (gives) {
    accept(state, sink, allowance, piece);
    (link.puller as OurPuller).ignored = 0;
  } else if (allowance !== undefined) end(state, sink, allowance, false);
  hear(state, link, message);
  heardCount(state, sink, message.count);
  if (!gives) return state.send(link, { kind: 'missing', grant, swarm, piece });
  state.out.push({ kind: 'feed', link: link.no, grant, swarm, blob: blob.no, piece, length: allowance.bytes });
}

export function onPass(state: State, link: InLink, message: Pass): void {
  const puller = link.puller as OurPuller;
  const { reason } = message;
  if (message.grant >= puller.nextGrant) throw new PeerFault('pass without a grant');
  const sink = sinkOf(link, message.swarm);
  const allowance = sink === undefined ? undefined : findAllowance(sink, message.grant);
  if (sink !== undefined && allowance !== undefined) {
    // Whoever says `held` has it from elsewhere: it has been given once.
    if (allowance.state === 'offered') end(state, sink, allowance, reason === 'held');
    if (reason === 'held') forgetPullerWish(sink, allowance.piece);
  }
  puller.ignored = 0;
  hear(state, link, message);
  heardCount(state, sink, message.count);
  if (reason === 'busy') downlinkIsFull(state, link);
  // It has no room for the whole blob, and wants others than that one: where nobody else sends it any, it chooses.
  const named = allowance?.named === true;
  const misfit = reason === 'nothing' && message.count > 0 && named;
  if (sink !== undefined && misfit && puller.others < state.config.policy.originSparePieces) {
    (sink as OurSink).choosy = true;
    state.due.pump = true;
    return;
  }
  // Of a busy one the piece is nobody's again, or still wished for, and would be given to it at once.
  if (reason === 'nothing' || (reason === 'busy' && (named || (sink?.wishes.length ?? 0) > 0)))
    puller.restsUntilMs = state.nowMs + state.config.policy.passRestMs;
}

export function onReceipt(state: State, link: InLink, message: Receipt): void {
  const sink = sinkOf(link, message.swarm);
  const allowance = sink?.allowances.find((a) => a.piece === message.piece && a.state === 'sending');
  if (sink !== undefined && allowance !== undefined) receipted(state, sink, allowance);
  hear(state, link, message);
  heardCount(state, sink, message.count);
}

/** The credit stays out until the receipt: the piece may be on the wire already. */
export function onCancel(state: State, link: InLink, { swarm, piece }: Cancel): void {
  const allowance = sinkOf(link, swarm)?.allowances.find((a) => a.piece === piece && a.state === 'sending');
  if (allowance !== undefined) state.out.push({ kind: 'unfeed', link: link.no, grant: allowance.grant, swarm, piece });
}

export function onElsewhere(state: State, link: InLink, { swarm, pieces }: Elsewhere): void {
  const sink = sinkOf(link, swarm);
  if (sink === undefined) return;
  if (pieces.length > 0 && pieces[pieces.length - 1]! >= sink.blob.pieces)
    throw new PeerFault('elsewhere is beyond the blob');
  isElsewhere(state, sink, pieces);
}

export function onWantHashes(state: State, link: InLink, message: WantHashes): void {
  const sink = sinkOf(link, message.swarm);
  if (sink === undefined || sink.state === 'pending') return;
  if (message.from >= sink.blob.pieces) throw new PeerFault('hashes wanted beyond the blob');
  boundHashes(link);
  sendHashes(state, sink, message.from);
}

/** The puller knows more of a list that grows. */
export function onPullerGrown(state: State, link: InLink, { swarm, known }: Grown): void {
  const sink = sinkOf(link, swarm);
  if (sink === undefined) return;
  if (!knowsGrowing(link)) throw new PeerFault('grows without its feature');
  if (sink.state === 'pending') throw new PeerFault('grown before opened');
  if (known > sink.blob.pieces) throw new PeerFault('knows hashes beyond the blob');
  if (sink.knows !== Infinity && known < sink.knows) throw new PeerFault('knows less of the hash list than before');
  (sink as OurSink).knows = known;
  if (sink.count > 0) state.due.pump = true;
}

/** A message of what is wished for in place of what was. */
export function onWishes(state: State, link: InLink, { swarm, wishes }: Wishes): void {
  const sink = sinkOf(link, swarm);
  if (sink === undefined) return;
  if (!knowsWishes(link)) throw new PeerFault('wishes without their feature');
  if (sink.state === 'pending') throw new PeerFault('wishes before opened');
  if (!link.puller.wishes.spend(1, state.nowMs)) throw new PeerFault('wishes more often than pieces can come');
  const { blob } = sink;
  const ours = sink as OurSink;
  const before = ours.wishes;
  const now: SinkWish[] = [];
  for (const { piece, hops } of wishes) {
    if (piece >= blob.pieces) throw new PeerFault('wish for a piece beyond the blob');
    const sinceMs = before.find((wish) => wish.piece === piece)?.sinceMs ?? state.nowMs;
    now.push({ piece, hops, sinceMs });
    if (blob.holds(piece)) tellOf(state, sink, piece);
  }
  ours.wishes = now;
  if (sink.count > 0 && sink.wishes.length > 0) state.due.pump = true;
  if (!blob.unfinished) return;
  blob.wishing = true;
  state.wishesMayChange(blob, false);
}

/** It was sent as many as an honest one could want. */
export function boundHashes({ puller }: InLink): void {
  if (puller.hashLists.overdrawn) throw new PeerFault('asks for more hash lists than there are');
}

/** The sink of that number; undefined where it has been closed. A number that was never opened is a fault. */
export function sinkOf(link: InLink, swarm: number): Sink | undefined {
  const sink = findSink(link, swarm);
  if (sink === undefined && swarm > link.swarmMax) throw new PeerFault('message for a swarm that was never opened');
  return sink;
}

function heardCount(state: State, sink: Sink | undefined, count: number): void {
  if (sink === undefined) return;
  if (count > 0 && sink.count === 0) cameBack(sink);
  setCount(state, sink, sink.state === 'open' ? count : 0);
}

function findAllowance({ allowances }: Sink, grant: number): Allowance | undefined {
  for (let i = 0; i < allowances.length; i += 1) if (allowances[i]!.grant === grant) return allowances[i];
  return undefined;
}
