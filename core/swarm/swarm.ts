/**
 * The swarm of one node, all blobs: sans-I/O. `handle(input, nowMs)`, then `drain()`; a `tick` is due
 * at `deadlineMs`. types.ts says what goes in and out. The rooms: records/ is what is remembered, feeding/ and pulling/
 * the two sides of each link, graph/ who is connected to whom.
 *
 * Rule 1: state changes only inside `handle`; equal seeds and inputs give equal outputs.
 * Rule 2: a PeerFault costs the peer its link and a ban; a Bug is ours and is not caught.
 * Rule 3: what an input makes due (grants, wants, neighbours) is done once, at the end of its step.
 */

import { assert, Bug, PeerFault } from '../assert.ts';
import type { Machine } from '../machine.ts';
import { addBlob, candidates, lost, removeBlob } from './blobs.ts';
import {
  heard,
  onCancel,
  onElsewhere,
  onPass,
  onPullerGrown,
  onReceipt,
  onRequest,
  onWantHashes,
  onWants,
  onWishes,
  sinkOf,
} from './feeding/feeder.ts';
import { edgeTaken, reserveEdge } from './graph/edge-offers.ts';
import { closeIfParted, hearOf } from './graph/edges.ts';
import { connected, fault, forgetLink, onGoodbye, onHello } from './graph/links.ts';
import { degree } from './graph/neighbours.ts';
import { onClose, onEdgeOffer, onOpen, onOpened, onRefuse } from './graph/opening.ts';
import { grown, settled } from './growing.ts';
import type { OurState } from './ours.ts';
import { checkPolicy } from './policy.ts';
import { onGrown, onHashes } from './pulling/learning.ts';
import { arrived, onGone, onGrant, onHaves, onMissing, verified } from './pulling/puller.ts';
import { rescope } from './pulling/scope.ts';
import { moveReader, removeReader } from './pulling/wishes.ts';
import { findFlight, findSource } from './records/questions.ts';
import {
  type Edge,
  type Greeted,
  type InLink,
  isGreeted,
  type Link,
  type OutLink,
  type Source,
} from './records/records.ts';
import { State } from './records/state.ts';
import { finishStep } from './step.ts';
import type { BlobNo, BlobStats, Input, LinkNo, Output, SwarmConfig, SwarmDue, SwarmTotals } from './types.ts';

type LinkMessage = Extract<Input, { kind: 'message' }>['message'];

export class Swarm implements Machine<Input, Output, SwarmDue> {
  readonly #state: State;
  #drained: Output[] = [];

  constructor(config: SwarmConfig) {
    checkPolicy(config.policy);
    this.#state = new State(config);
  }

  /** One step. Times never run backwards. */
  handle(input: Input, nowMs: number): void {
    const state = this.#state;
    assert(nowMs >= state.nowMs, 'time ran backwards');
    (state as OurState).nowMs = nowMs;
    apply(state, input);
    const why = finishStep(state);
    if (why !== undefined) throw new Bug(why);
  }

  /** What came of the last inputs, in order. The array is reused: it is good until the next `drain`. */
  drain(): readonly Output[] {
    const { out } = this.#state;
    this.#drained.length = 0;
    (this.#state as OurState).out = this.#drained;
    this.#drained = out;
    return out;
  }

  /** When a `tick` is due, in the clock of `handle`; Infinity: never. */
  get deadlineMs(): number {
    return this.#state.due.firstAtMs;
  }

  get due(): SwarmDue | undefined {
    const { deadlineMs } = this;
    const { batchAtMs, pumpAtMs, scanAtMs } = this.#state.due;
    if (deadlineMs === Infinity) return undefined;
    if (deadlineMs === pumpAtMs) return 'grants';
    if (deadlineMs === batchAtMs) return 'news';
    return deadlineMs === scanAtMs ? 'flights' : 'graph';
  }

  /** The length of the piece if this link may send it now, else -1. */
  expects(link: LinkNo, swarm: number, piece: number): number {
    const source = this.#source(link, swarm);
    const flight = source === undefined ? undefined : findFlight(source, piece);
    return flight === undefined ? -1 : flight.bytes;
  }

  /** The blob behind a swarm number of a link; -1 where there is none (any more). */
  blobOf(link: LinkNo, swarm: number): BlobNo | -1 {
    const at = this.#state.graph.links.get(link);
    if (at === undefined) return -1;
    const record = at.kind === 'out' ? findSource(at, swarm) : at.sinks.find((sink) => sink.swarm === swarm);
    return record === undefined || record.blob.stage === 'gone' || record.state === 'closed' ? -1 : record.blob.no;
  }

  stats(no: BlobNo): BlobStats | undefined {
    const blob = this.#state.blobs[no];
    if (blob === undefined) return undefined;
    const { pieces, known, heldCount: held, pulling, feeding } = blob;
    const { sources, bytesFromPeers, bytesFromOrigins, hedges, duplicates, corrupt } = pulling;
    let inFlight = 0;
    for (const source of sources) inFlight += source.flights.length;
    return {
      pieces,
      held,
      known,
      inFlight,
      neighbours: degree(blob),
      sources: sources.length,
      sinks: feeding.sinks.length,
      bytesFromPeers,
      bytesFromOrigins,
      bytesSent: feeding.bytesSent,
      hedges,
      duplicates,
      corrupt,
    };
  }

  get totals(): SwarmTotals {
    const { graph, byDigest, down, up } = this.#state;
    const { links, peers } = graph;
    const { inPieces, inBytes } = down;
    const { outPieces, outBytes } = up;
    return { links: links.size, peers: peers.size, blobs: byDigest.size, inPieces, inBytes, outPieces, outBytes };
  }

  #source(link: LinkNo, swarm: number): Source | undefined {
    const at = this.#state.dialled(link);
    return at === undefined ? undefined : findSource(at, swarm);
  }
}

function apply(state: State, input: Input): void {
  switch (input.kind) {
    case 'message':
      return message(state, input.link, input.message);
    case 'arrived':
      return onArrived(state, input);
    case 'verified':
      return verified(state, input);
    case 'tick':
      return;
    case 'connected':
      return connected(state, input.link, input.dialled);
    case 'closed':
      return closed(state, input.link);
    case 'blob':
      return addBlob(state, input);
    default:
      return onBlob(state, input);
  }
}

/** Inputs about one blob; one that is gone already needs nothing. */
function onBlob(state: State, input: Extract<Input, { blob: BlobNo }>): void {
  const blob = state.blobs[input.blob];
  if (blob === undefined) return;
  switch (input.kind) {
    case 'candidates':
      return candidates(state, blob, input);
    case 'reader':
      return moveReader(state, blob, input);
    case 'readerGone':
      return removeReader(state, blob, input.reader);
    case 'lost':
      return lost(state, blob, input.piece);
    case 'scope':
      return rescope(state, blob, input);
    case 'grown':
      return grown(state, blob, input);
    case 'settled':
      return settled(state, blob, input);
    case 'drop':
      return removeBlob(state, blob, 'leaving');
    case 'revoke':
      return removeBlob(state, blob, 'revoked');
  }
}

/** A source that waited for this piece is done. */
function onArrived(state: State, { link, swarm, piece, slot }: Extract<Input, { kind: 'arrived' }>): void {
  const at = state.dialled(link);
  const source = at === undefined ? undefined : findSource(at, swarm);
  arrived(state, source, piece, slot);
  if (source !== undefined) closeIfParted(state, source);
}

function closed(state: State, no: LinkNo): void {
  const link = state.graph.links.get(no);
  if (link !== undefined) forgetLink(state, link);
}

/** A message from a peer; whatever is wrong with it costs the peer its link. */
function message(state: State, no: LinkNo, received: LinkMessage): void {
  const link = state.graph.links.get(no);
  if (link === undefined) return;
  try {
    if (received.kind === 'hello') return onHello(state, link, received);
    if (link.kind === 'in' && isGreeted(link)) fromPuller(state, link, received);
    else if (link.kind === 'out' && link.state === 'active') fromFeeder(state, link, received);
    else throw new PeerFault(`${received.kind} before hello`);
  } catch (error) {
    if (!(error instanceof PeerFault)) throw error;
    fault(state, link, error.message);
  }
}

function fromPuller(state: State, link: Greeted, received: LinkMessage): void {
  heard(state, link);
  switch (received.kind) {
    case 'request':
      return onRequest(state, link, received);
    case 'receipt':
      return onReceipt(state, link, received);
    case 'wants':
      return onWants(state, link, received);
    case 'pass':
      return onPass(state, link, received);
    case 'open':
      return onOpen(state, link, received);
    case 'close':
      return onClose(state, link, received.swarm);
    case 'cancel':
      return onCancel(state, link, received);
    case 'elsewhere':
      return onElsewhere(state, link, received);
    case 'wishes':
      return onWishes(state, link, received);
    case 'wantHashes':
      return onWantHashes(state, link, received);
    case 'grown':
      return onPullerGrown(state, link, received);
    case 'edgeReserve':
    case 'edgeTaken':
    case 'neighbours':
    case 'goodbye':
      return eitherWay(state, link, received, edgeOfSink(link, received));
    default:
      throw new PeerFault(`${received.kind} is not for a feeder`);
  }
}

function fromFeeder(state: State, link: OutLink, received: LinkMessage): void {
  if (received.kind === 'goodbye') return eitherWay(state, link, received, undefined);
  if (!('swarm' in received)) throw new PeerFault(`${received.kind} is not for a puller`);
  const source = findSource(link, received.swarm);
  if (source === undefined) {
    if (received.swarm >= link.nextSwarm) throw new PeerFault('message for a swarm that was never opened');
    return;
  }
  switch (received.kind) {
    case 'haves':
      return onHaves(state, source, received);
    case 'gone':
      return onGone(state, source, received);
    case 'grant':
      return onGrant(state, source, received);
    case 'missing':
      onMissing(state, source, received);
      return closeIfParted(state, source);
    case 'opened':
      return onOpened(state, source, received);
    case 'refuse':
      return onRefuse(state, source, received);
    case 'edgeOffer':
      return onEdgeOffer(state, source, received);
    case 'hashes':
      return onHashes(state, source, received);
    case 'grown':
      return onGrown(state, source, received);
    case 'revoke':
      if (link.peer.address.role !== 'origin') throw new PeerFault('revoke from an agent');
      state.due.mark('disowned', source.blob);
      return;
    case 'edgeReserve':
    case 'edgeTaken':
    case 'neighbours':
      return eitherWay(state, link, received, source.state === 'closed' ? undefined : source.edge);
    default:
      throw new PeerFault(`${received.kind} is not for a puller`);
  }
}

function edgeOfSink(link: InLink, received: { readonly kind: string; readonly swarm?: number }): Edge | undefined {
  return received.swarm === undefined ? undefined : sinkOf(link, received.swarm)?.edge;
}

type EitherWay = Extract<LinkMessage, { kind: 'goodbye' | 'edgeReserve' | 'edgeTaken' | 'neighbours' }>;

/** `edge`: the one that the message is about; undefined where it is gone. */
function eitherWay(state: State, link: Link, received: EitherWay, edge: Edge | undefined): void {
  if (received.kind === 'goodbye') return onGoodbye(state, link, received.reason);
  if (edge === undefined) return;
  if (received.kind === 'edgeReserve') return reserveEdge(state, edge, received.token, received.node);
  if (received.kind === 'edgeTaken') return edgeTaken(state, edge, received.token);
  if (!edge.blob.unfinished) return;
  hearOf(state, edge.blob, edge.peer, received.peers);
  state.due.mark('connect', edge.blob);
}
