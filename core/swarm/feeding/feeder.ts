/** The feeder: takes openers in or refuses them, and turns the puller's answers to grants into feeds. */

import { PeerFault } from '../../assert.ts';
import { swarmsPerLinkMax } from '../../wire/limits.ts';
import type {
  Cancel,
  Elsewhere,
  Open,
  Pass,
  Receipt,
  Refuse,
  Request,
  WantHashes,
  Wants,
  Wishes,
} from '../../wire/messages.ts';
import { closeSink, edgeTo, makeSink, openSource } from '../graph/edges.ts';
import { degree, established, neighboursFor } from '../graph/graph.ts';
import { offerEdge, redeem, settle } from '../graph/offers.ts';
import { degreeSlack, refusedMax, refusedPerMs } from '../limits.ts';
import { answerOpen, sendHashes } from '../pulling/learning.ts';
import { grantedWish, onWishes } from '../pulling/wishes.ts';
import type { Blob } from '../records/blob.ts';
import { type Allowance, findSink, type InLink, type Sink } from '../records/links.ts';
import type { State } from '../records/state.ts';
import { isElsewhere } from './naming.ts';
import { accept, end, full, hasRoomAgain, hear, receipted, regrant, setCount } from './uplink.ts';

export function onOpen(state: State, link: InLink, message: Open): void {
  if (findSink(link, message.swarm) !== undefined) throw new PeerFault('swarm number is in use');
  link.swarmMax = Math.max(link.swarmMax, message.swarm);
  const blob = state.byDigest.get(message.digest);
  if (blob === undefined) {
    const reason = state.revoked.has(message.digest) ? 'revoked' : 'unknown';
    return refuse(state, link, { swarm: message.swarm, reason, peers: [] });
  }
  if (link.sinks.some((sink) => sink.blob === blob)) throw new PeerFault('blob is opened twice');
  if (link.sinks.length >= swarmsPerLinkMax) {
    return refuse(state, link, { swarm: message.swarm, reason: 'limit', peers: [] });
  }
  if (message.needHashes) boundHashes(link);
  const peer = link.peer!;
  const edge = blob.edgeOf(peer.node);
  const known = edge !== undefined && established(edge);
  const offer = known ? undefined : redeem(state, blob, peer.node, message.token);
  if (!known && !roomFor(state, blob, link, offer !== undefined)) return redirect(state, blob, link, message.swarm);
  const sink = makeSink(state, link, message.swarm, edgeTo(state, blob, peer));
  sink.empty = message.empty;
  sink.needHashes = message.needHashes;
  if (blob.stage === 'ready') answerOpen(state, sink);
  if (offer !== undefined) settle(state, offer);
  const peers = neighboursFor(state, blob, peer.node);
  if (peers.length > 0) state.send(link, { kind: 'neighbours', swarm: sink.swarm, peers });
  dialBack(state, sink);
  if (blob.pulling) state.needy.add(blob);
}

export function onWants(state: State, link: InLink, message: Wants): void {
  hasRoomAgain(link, message);
  hear(state, link, message);
  for (const { swarm, count } of message.swarms) {
    const sink = sinkOf(link, swarm);
    if (sink !== undefined) heardCount(state, sink, count);
  }
}

export function onRequest(state: State, link: InLink, message: Request): void {
  const sink = sinkOf(link, message.swarm);
  if (message.grant >= link.nextGrant) throw new PeerFault('request without a grant');
  if (sink === undefined) return hear(state, link, message);
  const { blob, swarm } = sink;
  const { grant, piece } = message;
  if (piece >= blob.pieces) throw new PeerFault('request of a piece beyond the blob');
  const allowance = findAllowance(sink, grant) ?? regrant(state, sink, grant);
  if (allowance?.state === 'sending') throw new PeerFault('grant is used twice');
  if (allowance?.named === true && allowance.piece !== piece)
    throw new PeerFault('request of another piece than named');
  if (allowance === undefined || !blob.holds(piece)) {
    if (allowance !== undefined) end(state, sink, allowance, false);
    hear(state, link, message);
    heardCount(state, sink, message.count);
    return state.send(link, { kind: 'missing', grant, swarm, piece });
  }
  accept(state, sink, allowance, piece);
  link.ignored = 0;
  hear(state, link, message);
  heardCount(state, sink, message.count);
  state.out.push({ kind: 'feed', link: link.no, grant, swarm, blob: blob.no, piece, length: allowance.bytes });
}

export function onPass(state: State, link: InLink, message: Pass): void {
  if (message.grant >= link.nextGrant) throw new PeerFault('pass without a grant');
  const sink = sinkOf(link, message.swarm);
  const allowance = sink === undefined ? undefined : findAllowance(sink, message.grant);
  // Whoever says `held` has it from elsewhere: it has been given once.
  if (sink !== undefined && allowance?.state === 'offered') end(state, sink, allowance, message.reason === 'held');
  if (sink !== undefined && message.reason === 'held' && allowance !== undefined) grantedWish(sink, allowance.piece);
  link.ignored = 0;
  hear(state, link, message);
  if (sink !== undefined) heardCount(state, sink, message.count);
  if (message.reason === 'busy') full(state, link);
  // It has no room for the whole blob, and wants others than that one: where nobody else sends it any, it chooses.
  const misfit = message.reason === 'nothing' && message.count > 0 && allowance?.named === true;
  if (sink !== undefined && misfit && link.others < state.config.policy.originSparePieces) {
    sink.choosy = true;
    state.pumpDue = true;
    return;
  }
  // The piece is nobody's again, or still wished for, and would be given to it at once.
  if (message.reason === 'busy' && (allowance?.named === true || (sink?.wishes.length ?? 0) > 0))
    link.restsUntilMs = state.nowMs + state.config.policy.passRestMs;
  else if (message.reason === 'nothing') link.restsUntilMs = state.nowMs + state.config.policy.passRestMs;
}

export function onReceipt(state: State, link: InLink, message: Receipt): void {
  const sink = sinkOf(link, message.swarm);
  const allowance = sink?.allowances.find((a) => a.piece === message.piece && a.state === 'sending');
  if (sink !== undefined && allowance !== undefined) receipted(state, sink, allowance);
  hear(state, link, message);
  if (sink !== undefined) heardCount(state, sink, message.count);
}

/** The credit stays out until the receipt: the piece may be on the wire already. */
export function onCancel(state: State, link: InLink, message: Cancel): void {
  const sink = sinkOf(link, message.swarm);
  const allowance = sink?.allowances.find((a) => a.piece === message.piece && a.state === 'sending');
  if (sink === undefined || allowance === undefined) return;
  state.out.push({ kind: 'unfeed', link: link.no, grant: allowance.grant, swarm: sink.swarm, piece: message.piece });
}

export function onClose(state: State, link: InLink, swarm: number): void {
  const sink = sinkOf(link, swarm);
  if (sink !== undefined) closeSink(state, sink, undefined);
}

export function onElsewhere(state: State, link: InLink, { swarm, pieces }: Elsewhere): void {
  const sink = sinkOf(link, swarm);
  if (sink === undefined) return;
  const { blob } = sink;
  if (pieces.length > 0 && pieces[pieces.length - 1]! >= blob.pieces)
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

export function onWish(state: State, link: InLink, message: Wishes): void {
  const sink = sinkOf(link, message.swarm);
  if (sink !== undefined) onWishes(state, link, sink, message);
}

/** It was sent as many as an honest one could want. */
function boundHashes({ hashBytes }: InLink): void {
  if (hashBytes < 0) throw new PeerFault('asks for more hash lists than there are');
}

/** The sink of that number; undefined where it has been closed. A number that was never opened is a fault. */
export function sinkOf(link: InLink, swarm: number): Sink | undefined {
  const sink = findSink(link, swarm);
  if (sink === undefined && swarm > link.swarmMax) throw new PeerFault('message for a swarm that was never opened');
  return sink;
}

function heardCount(state: State, sink: Sink, count: number): void {
  setCount(state, sink, sink.state === 'open' ? count : 0);
}

function findAllowance(sink: Sink, grant: number): Allowance | undefined {
  const { allowances } = sink;
  for (let i = 0; i < allowances.length; i += 1) if (allowances[i]!.grant === grant) return allowances[i];
  return undefined;
}

function roomFor(state: State, blob: Blob, link: InLink, invited: boolean): boolean {
  const { neighboursPerBlobMax, neighboursMax } = state.config.policy;
  const edges = degree(blob);
  if (invited) return edges < neighboursPerBlobMax + degreeSlack;
  return edges < neighboursPerBlobMax && (link.peer!.edges > 0 || state.neighbours < neighboursMax);
}

/** We are full: offers one of our edges, and names others who may have room. */
function redirect(state: State, blob: Blob, link: InLink, swarm: number): void {
  const peers = neighboursFor(state, blob, link.peer!.node);
  if (state.config.self.role === 'origin') blob.openers.add(link.peer!.address, state.nowMs);
  if (!offerEdge(state, blob, link, swarm)) {
    return refuse(state, link, { swarm, reason: 'full', peers });
  }
  if (peers.length > 0) state.send(link, { kind: 'neighbours', swarm, peers });
}

function refuse(state: State, link: InLink, answer: Omit<Refuse, 'kind'>): void {
  const regained = (state.nowMs - link.refusedMs) * refusedPerMs;
  link.refusals = Math.min(refusedMax, link.refusals + regained) - 1;
  link.refusedMs = state.nowMs;
  if (link.refusals < 0) throw new PeerFault('opens more swarms than there are');
  state.send(link, { kind: 'refuse', ...answer });
}

/** Whoever pulls from us will have what we lack: the edge goes both ways. */
function dialBack(state: State, sink: Sink): void {
  const { blob, edge } = sink;
  const { address } = edge.peer;
  if (!blob.pulling || edge.source !== undefined || address.port === 0 || address.role === 'origin') return;
  openSource(state, edge, 0, undefined);
}
