/**
 * Opening a blob at a peer, and ending that: what a puller asks and a feeder answers, both sides. A feeder that is full
 * offers one of its edges (edge-offers.ts), and names others.
 */

import { PeerFault } from '../../assert.ts';
import { sameMetainfo } from '../../piece.ts';
import { swarmsPerLinkMax } from '../../wire/limits.ts';
import type { EdgeOffer, Open, Opened, Refuse } from '../../wire/messages.ts';
import { answerOpen, boundHashes, sinkOf } from '../feeding/feeder.ts';
import { mayAnswer } from '../feeding/growing.ts';
import { degreeSlack, offerMs } from '../limits.ts';
import { mayLead, sameSize, tellKnown } from '../pulling/learning.ts';
import { offered, opened, sendOpen, takeVia } from '../pulling/sources.ts';
import { wanted } from '../pulling/trust.ts';
import { firstFrom, fromBytes } from '../records/bits.ts';
import { findSink, knowsGrowing } from '../records/questions.ts';
import type { Blob, Greeted, InLink, Sink, Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import { offerEdge, redeemToken, settle } from './edge-offers.ts';
import {
  closeSink,
  closeSource,
  dropCandidate,
  edgeTo,
  hearOf,
  nearEdges,
  openSink,
  openSource,
  praiseCandidate,
  settleEdge,
  takesFar,
} from './edges.ts';
import { degree, neighboursFor } from './neighbours.ts';
import type { OurInLink } from './ours.ts';

// ---- the feeder's side -------------------------------------------------------------------------

export function onOpen(state: State, link: Greeted, message: Open): void {
  const { swarm, digest } = message;
  const { peer } = link;
  if (findSink(link, swarm) !== undefined) throw new PeerFault('swarm number is in use');
  (link as OurInLink).swarmMax = Math.max(link.swarmMax, swarm);
  const blob = state.byDigest.get(digest);
  if (blob === undefined) {
    const reason = state.revoked.has(digest) ? 'revoked' : 'unknown';
    return refuse(state, link, { swarm, reason, peers: [] });
  }
  if (link.sinks.some((sink) => sink.blob === blob)) throw new PeerFault('blob is opened twice');
  if (link.sinks.length >= swarmsPerLinkMax) return refuse(state, link, { swarm, reason: 'limit', peers: [] });
  if (message.needHashes) boundHashes(link);
  const known = blob.edgeOf(peer.node)?.state === 'kept';
  const offer = known ? undefined : redeemToken(state, blob, peer.node, message.token);
  const isNeighbour = peer.edges > 0;
  const room = peer.far ? roomForFar(state, blob) : roomFor(state, blob, isNeighbour, offer !== undefined);
  if (!known && !room) return redirect(state, blob, link, swarm);
  const sink = openSink(state, edgeTo(state, blob, peer.address), link, message);
  if (mayAnswer(sink)) answerOpen(state, sink);
  if (offer !== undefined) settle(state, offer);
  const peers = neighboursFor(state, blob, peer.node);
  if (peers.length > 0) state.send(link, { kind: 'neighbours', swarm, peers });
  dialBack(state, sink);
  if (blob.unfinished) state.due.mark('connect', blob);
}

export function onClose(state: State, link: InLink, swarm: number): void {
  const sink = sinkOf(link, swarm);
  if (sink !== undefined) closeSink(state, sink, undefined);
}

function roomFor({ config: { policy }, graph }: State, blob: Blob, isNeighbour: boolean, invited: boolean): boolean {
  const { neighboursPerBlobMax, neighboursMax } = policy;
  const edges = degree(blob);
  if (invited) return edges < neighboursPerBlobMax + degreeSlack;
  return edges < neighboursPerBlobMax && (isNeighbour || graph.neighbours < neighboursMax);
}

/** Who comes from another zone was sent here by its tracker, as one of few. */
function roomForFar({ config: { policy }, graph }: State, blob: Blob): boolean {
  const far = blob.graph.edges.length - nearEdges(blob);
  return far < policy.neighboursPerBlobMax && graph.neighbours < policy.neighboursMax + degreeSlack;
}

/** We are full: offers one of our edges, and names others who may have room. */
function redirect(state: State, blob: Blob, link: Greeted, swarm: number): void {
  const { address } = link.peer;
  const peers = neighboursFor(state, blob, address.node);
  if (state.config.self.role === 'origin') blob.graph.openers.add(address, state.nowMs);
  if (!offerEdge(state, blob, link, swarm)) return refuse(state, link, { swarm, reason: 'full', peers });
  if (peers.length > 0) state.send(link, { kind: 'neighbours', swarm, peers });
}

function refuse(state: State, link: InLink, answer: Omit<Refuse, 'kind'>): void {
  if (!link.refusals.spend(1, state.nowMs)) throw new PeerFault('opens more swarms than there are');
  state.send(link, { kind: 'refuse', ...answer });
}

/** Whoever pulls from us will have what we lack: the edge goes both ways. */
function dialBack(state: State, { blob, edge }: Sink): void {
  const { address } = edge.peer;
  if (!blob.unfinished || edge.source !== undefined || address.port === 0 || address.role === 'origin') return;
  if (edge.peer.far && !takesFar(blob)) return;
  openSource(state, edge);
}

// ---- the puller's side -------------------------------------------------------------------------

export function onOpened(state: State, source: Source, message: Opened): void {
  if (source.state === 'closed') return;
  if (source.state !== 'opening') throw new PeerFault('opened what was not asked to be');
  const { blob, edge } = source;
  const grows = message.growing || blob.stage === 'growing';
  checkOpened(source, message);
  praiseCandidate(blob, edge.peer.node);
  const first = blob.stage === 'rooted' && blob.pulling.sources.length === 0;
  opened(state, source, message);
  settleEdge(state, edge);
  if (!first && isTooMany(state, source)) return closeSource(state, source, true);
  if (grows) tellKnown(state, source);
  mayLead(state, source);
  const via = takeVia(source);
  if (via?.state === 'offered') sendOpen(state, via);
  state.due.mark('connect', blob);
}

/** Throws where the feeder does not have the blob that the tracker told of, or cannot have what it says to have of it. */
function checkOpened({ blob, link }: Source, { meta, all, growing, known = blob.pieces, have }: Opened): void {
  if (growing && !knowsGrowing(link)) throw new PeerFault('grows without its feature');
  // Of a list that is known to another length nothing can be said.
  const alike = growing ? blob.stage === 'growing' && known === blob.known : blob.stage !== 'growing';
  const same = alike ? sameMetainfo(blob.meta, meta) : sameSize(blob, meta);
  if (!same) throw new PeerFault('metainfo differs from the tracker');
  if (!all && have.length !== (blob.pieces + 7) >>> 3) throw new PeerFault('bit set of the wrong length');
  if (growing && firstFrom(fromBytes(have, blob.pieces), known) >= 0)
    throw new PeerFault('holds a piece whose hash it does not know');
}

/** Others were faster: we have our degree without this one. To who starves, only what it lacks is worth more. */
function isTooMany({ config: { policy } }: State, source: Source): boolean {
  const { blob, edge, token } = source;
  if (token !== 0 || edge.sink !== undefined || edge.peer.far || degree(blob) <= policy.neighboursPerBlobMax)
    return false;
  return blob.graph.starving.rounds === 0 || wanted(source) <= 0;
}

export function onRefuse(state: State, source: Source, message: Refuse): void {
  if (source.state === 'closed') return;
  const { blob, edge, via } = source;
  hearOf(state, blob, edge.peer, message.peers);
  closeSource(state, source, false);
  if (message.reason === 'unknown' || message.reason === 'leaving') dropCandidate(blob, edge.peer.node);
  if (via?.state === 'offered') closeSource(state, via, true);
  if (message.reason === 'revoked' && edge.peer.address.role === 'origin') state.due.mark('disowned', blob);
}

/** The feeder is full; `peer` would take us in its place, and then the feeder takes us as well. */
export function onEdgeOffer(state: State, source: Source, { peer, token }: EdgeOffer): void {
  if (source.state === 'closed') return;
  if (source.state !== 'opening' || token === 0) throw new PeerFault('edge offer out of turn');
  const { blob } = source;
  // Who starved for long takes even this way in.
  const slack = blob.graph.starving.rounds > 1 ? degreeSlack : 0;
  const room = state.config.policy.neighboursPerBlobMax + slack - degree(blob) >= 2;
  const usable =
    peer.node !== state.config.self.node &&
    peer.port !== 0 &&
    blob.edgeOf(peer.node) === undefined &&
    !state.graph.bans.banned(peer.node, state.nowMs);
  if (!room || !usable) return closeSource(state, source, false);
  offered(state, source, token);
  openSource(state, edgeTo(state, blob, peer), { token, via: source });
  state.due.graphAtMs = Math.min(state.due.graphAtMs, state.nowMs + offerMs);
}
