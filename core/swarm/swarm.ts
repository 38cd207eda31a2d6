/**
 * The swarm of one node, all blobs: sans-I/O. `handle(input, nowMs)`, then `drain()`; a `tick` is due
 * at `deadlineMs`. types.ts says what goes in and out. The rooms: records/ is what is remembered, feeding/ and pulling/
 * the two sides of each link, graph/ who is connected to whom.
 *
 * Rule 1: state changes only inside `handle`; equal seeds and inputs give equal outputs.
 * Rule 2: a PeerFault costs the peer its link and a ban; a Bug is ours and is not caught.
 * Rule 3: what an input makes due (grants, wants, neighbours) is done once, at the end of its step.
 */

import { assert, PeerFault } from '../assert.ts';
import type { Machine } from '../machine.ts';
import { addBlob, candidates, finish, moveReader, removeBlob, removeReader } from './blobs.ts';
import {
  onCancel,
  onClose,
  onElsewhere,
  onOpen,
  onPass,
  onReceipt,
  onRequest,
  onWantHashes,
  onWants,
  onWish,
  sinkOf,
} from './feeding/feeder.ts';
import { flush, sendWants } from './feeding/news.ts';
import { expire, pump } from './feeding/uplink.ts';
import { addCandidates } from './graph/candidates.ts';
import { closeLink, forgetLink } from './graph/edges.ts';
import { connectMore, degree, tend } from './graph/graph.ts';
import { connected, onHello } from './graph/greeting.ts';
import { edgeTaken, reserveEdge } from './graph/offers.ts';
import { onEdgeOffer, onGone, onHaves, onOpened, onRefuse } from './graph/opening.ts';
import { gossipMs, graphMs } from './limits.ts';
import { checkPolicy } from './policy.ts';
import { scanFlights } from './pulling/hedge.ts';
import { onHashes } from './pulling/learning.ts';
import { arrived, lost, onGrant, onMissing, verified } from './pulling/puller.ts';
import { tellOrigins, tellRoom } from './pulling/room.ts';
import { rescope } from './pulling/scope.ts';
import { sendWishes } from './pulling/wishes.ts';
import {
  type Edge,
  findFlight,
  findSource,
  type InLink,
  type Link,
  type OutLink,
  type Source,
} from './records/links.ts';
import { State } from './records/state.ts';
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
    state.nowMs = nowMs;
    apply(state, input);
    finishStep(state);
    check(state);
  }

  /** What came of the last inputs, in order. The array is reused: it is good until the next `drain`. */
  drain(): readonly Output[] {
    const { out } = this.#state;
    this.#drained.length = 0;
    this.#state.out = this.#drained;
    this.#drained = out;
    return out;
  }

  /** When a `tick` is due, in the clock of `handle`; Infinity: never. */
  get deadlineMs(): number {
    const s = this.#state;
    return Math.min(s.batchAtMs, s.pumpAtMs, s.scanAtMs, s.graphAtMs);
  }

  get due(): SwarmDue | undefined {
    const { deadlineMs } = this;
    const { batchAtMs, pumpAtMs, scanAtMs } = this.#state;
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
    const at = this.#state.links.get(link);
    if (at === undefined) return -1;
    const record = at.kind === 'out' ? findSource(at, swarm) : at.sinks.find((sink) => sink.swarm === swarm);
    return record === undefined || record.blob.stage === 'gone' || record.state === 'closed' ? -1 : record.blob.no;
  }

  stats(no: BlobNo): BlobStats | undefined {
    const blob = this.#state.blobs[no];
    if (blob === undefined) return undefined;
    const { arrived: _, ...counts } = blob.counts;
    let inFlight = 0;
    for (const source of blob.sources) inFlight += source.flights.length;
    const { pieces, heldCount: held } = blob;
    return {
      pieces,
      held,
      inFlight,
      neighbours: degree(blob),
      sources: blob.sources.length,
      sinks: blob.sinks.length,
      ...counts,
    };
  }

  get totals(): SwarmTotals {
    const { links, peers, byDigest, inPieces, inBytes, outPieces, outBytes } = this.#state;
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
      return arrived(state, state.dialled(input.link), input);
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
    case 'drop':
      return removeBlob(state, blob, 'leaving');
    case 'revoke':
      return removeBlob(state, blob, 'revoked');
  }
}

function closed(state: State, no: LinkNo): void {
  const link = state.links.get(no);
  if (link !== undefined) forgetLink(state, link);
}

/** A message from a peer; whatever is wrong with it costs the peer its link. */
function message(state: State, no: LinkNo, received: LinkMessage): void {
  const link = state.links.get(no);
  if (link === undefined) return;
  try {
    if (received.kind === 'hello') return onHello(state, link, received);
    if (link.state !== 'active') throw new PeerFault(`${received.kind} before hello`);
    if (link.kind === 'in') fromPuller(state, link, received);
    else fromFeeder(state, link, received);
  } catch (error) {
    if (!(error instanceof PeerFault)) throw error;
    fault(state, link, error.message);
  }
}

function fault(state: State, link: Link, why: string): void {
  if (link.peer !== undefined) state.bans.strike(link.peer.node, state.nowMs);
  closeLink(state, link, why, 'fault');
}

function fromPuller(state: State, link: InLink, received: LinkMessage): void {
  link.heardMs = state.nowMs;
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
      return onWish(state, link, received);
    case 'wantHashes':
      return onWantHashes(state, link, received);
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
      return onMissing(state, source, received);
    case 'opened':
      return onOpened(state, source, received);
    case 'refuse':
      return onRefuse(state, source, received);
    case 'edgeOffer':
      return onEdgeOffer(state, source, received);
    case 'hashes': {
      const wrong = onHashes(state, source, received);
      if (wrong !== undefined) throw new PeerFault(wrong);
      return;
    }
    case 'revoke':
      if (link.peer.address.role !== 'origin') throw new PeerFault('revoke from an agent');
      state.disowned.add(source.blob);
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
  if (received.kind === 'goodbye') {
    state.out.push({ kind: 'close', link: link.no, why: `peer said goodbye: ${received.reason}`, whose: 'none' });
    return forgetLink(state, link);
  }
  if (edge === undefined) return;
  if (received.kind === 'edgeReserve') return reserveEdge(state, edge, received.token, received.node);
  if (received.kind === 'edgeTaken') return edgeTaken(state, edge, received.token);
  if (!edge.blob.pulling) return;
  addCandidates(state, edge.blob, received.peers);
  state.needy.add(edge.blob);
}

/** Does what has become due, by the input or by the time. */
function finishStep(state: State): void {
  const { nowMs } = state;
  if (state.disowned.size > 0) disown(state);
  if (state.finished.size > 0) finishBlobs(state);
  if (nowMs >= state.graphAtMs) tend(state);
  if (nowMs >= state.scanAtMs) scan(state);
  if (state.needy.size > 0) {
    // Connecting may close what is no longer needed, which makes others needy: next step's concern.
    const needy = [...state.needy];
    state.needy.clear();
    for (const blob of needy) connectMore(state, blob);
  }
  if (state.lossDue) tellOrigins(state);
  if (state.roomDue) tellRoom(state);
  if (nowMs >= state.batchAtMs) {
    flush(state);
    if (state.wishesDue.size > 0) sendWishes(state, true);
  } else {
    if (state.wantsUrgent) sendWants(state, false);
    if (state.wishesUrgent) sendWishes(state, false);
  }
  if (state.pumpDue || nowMs >= state.pumpAtMs) pump(state);
  if (state.graphAtMs === Infinity && (state.links.size > 0 || state.pulling.size > 0)) {
    state.graphAtMs = nowMs + state.jitter(graphMs);
    state.gossipAtMs = nowMs + state.jitter(gossipMs);
  }
}

function scan(state: State): void {
  state.scanAtMs = Infinity;
  state.pumpDue = true;
  if (state.outPieces > 0 || state.wanting > 0) {
    const stuck: { readonly link: InLink; readonly why: string }[] = [];
    for (const link of state.links.values()) {
      if (link.kind !== 'in' || (link.outstanding === 0 && link.restsUntilMs !== Infinity)) continue;
      const why = expire(state, link);
      if (why !== undefined) stuck.push({ link, why });
    }
    for (const { link, why } of stuck) closeLink(state, link, why, 'slow');
  }
  scanFlights(state);
}

function finishBlobs(state: State): void {
  for (const blob of state.finished) if (blob.complete) finish(state, blob);
  state.finished.clear();
}

function disown(state: State): void {
  for (const blob of state.disowned) {
    if (blob.stage === 'gone') continue;
    state.out.push({ kind: 'revoked', blob: blob.no });
    removeBlob(state, blob, 'revoked');
  }
  state.disowned.clear();
}

/** What holds after every step. */
function check(state: State): void {
  assert(state.inPieces >= 0 && state.inBytes >= 0, 'more pieces came than were on their way');
  assert(state.inPieces > 0 || state.inBytes === 0, 'bytes on their way without a piece');
  assert(state.standingPieces <= state.inPieces, 'more pieces stand still than are on their way');
  assert(
    state.uncheckedBytes >= 0 && (state.checks.length > 0 || state.uncheckedBytes === 0),
    'unverified bytes without a piece',
  );
  assert(state.outPieces >= 0 && state.outBytes >= 0, 'more grants ended than were given');
  assert(state.outPieces > 0 || (state.outBytes === 0 && state.load === 0), 'uplink is loaded without a grant');
  assert(
    state.wanting >= 0 && state.wanting <= state.links.size,
    'more neighbours want something than there are links',
  );
  assert(state.feeding.length <= state.byDigest.size, 'feeding a blob that is gone');
  assert(state.pulling.size <= state.byDigest.size, 'pulling a blob that is gone');
}
