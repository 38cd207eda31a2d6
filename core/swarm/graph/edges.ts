/**
 * Making and unmaking: peers, edges, and the source and the sink of an edge. Whoever ends one of these ends it here, so
 * that every count and every piece in flight is given back on each way out. links.ts ends links.
 * And candidates: peers that a blob could be pulled from, from the tracker, from refusals, from neighbours. A bounded
 * list per blob; who failed rests, longer each time, and is dropped when it keeps failing.
 */

import type { Open, PeerAddress, RefuseReason } from '../../wire/messages.ts';
import { beginSink, endSink, partSink } from '../feeding/feeder.ts';
import { candidateFailuresMax, candidateRestMs, candidatesPerBlobMax, degreeSlack, farLinksMax } from '../limits.ts';
import { beginSource, endSource, type Invitation, partSource, sendOpen } from '../pulling/sources.ts';
import { edgeLife, next } from '../records/lives.ts';
import { type Candidate, takeOut } from '../records/parts.ts';
import { findSource } from '../records/questions.ts';
import { type Blob, Edge, type InLink, OutLink, type Peer, type Sink, type Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { OurCandidate, OurEdge, OurGraph, OurGraphBlob, OurInLink, OurOutLink, OurPeer } from './ours.ts';

/** A swarm's number has 16 bits on the wire; it comes round long after its last message. */
const swarmMask = 0xffff;
const uninvited: Invitation = { token: 0, via: undefined };

export function peerAt(state: State, address: PeerAddress): Peer {
  const { peers } = state.graph as OurGraph;
  const known = peers.get(address.node);
  if (known !== undefined) return known;
  const far = state.isFar(address);
  const peer: Peer = { node: address.node, address, far, out: undefined, in: undefined, edges: 0 };
  peers.set(peer.node, peer);
  return peer;
}

export function forgetPeer(state: State, peer: Peer): void {
  if (peer.out === undefined && peer.in === undefined && peer.edges === 0)
    (state.graph as OurGraph).peers.delete(peer.node);
}

/** The edge to `address` in `blob`'s graph; made where there is none. */
export function edgeTo(state: State, blob: Blob, address: PeerAddress): Edge {
  const peer = peerAt(state, address);
  const known = blob.edgeOf(peer.node);
  if (known !== undefined) return known;
  const edge = new Edge(peer, blob);
  (blob.graph as OurGraphBlob).edges.push(edge);
  if (peer.edges === 0) (state.graph as OurGraph).neighbours += 1;
  (peer as OurPeer).edges += 1;
  return edge;
}

/** Our link to `peer`, dialled now where there is none. */
function linkTo(state: State, peer: Peer): OutLink {
  if (peer.out !== undefined) return peer.out;
  const graph = state.graph as OurGraph;
  const link = new OutLink(graph.nextLink, peer, state.nowMs);
  graph.nextLink += 2;
  (peer as OurPeer).out = link;
  graph.links.set(link.no, link);
  state.out.push({ kind: 'dial', link: link.no, peer: peer.address });
  return link;
}

/** Begins to pull over `edge`. */
export function openSource(state: State, edge: Edge, by: Invitation = uninvited): void {
  const link = linkTo(state, edge.peer);
  const ours = link as OurOutLink;
  while (findSource(link, ours.nextSwarm & swarmMask) !== undefined) ours.nextSwarm += 1;
  const source = beginSource(state, edge, { link, swarm: ours.nextSwarm & swarmMask }, by);
  ours.nextSwarm += 1;
  (edge as OurEdge).source = source;
  sendOpen(state, source);
}

/** Ends `source`; `tell` the feeder unless it was its doing. */
export function closeSource(state: State, source: Source, tell: boolean): void {
  if (source.state === 'closed') return;
  const { blob, edge, link } = source;
  const opened = source.state !== 'waiting';
  endSource(state, source);
  if (link.sources.length === 0) (link as OurOutLink).sinceMs = state.nowMs;
  if (blob.unfinished) restCandidate(state, blob, edge.peer.address);
  (edge as OurEdge).source = undefined;
  settleEdge(state, edge);
  if (tell && opened) state.send(link, { kind: 'close', swarm: source.swarm });
  if (blob.unfinished) state.due.mark('connect', blob);
}

/** Takes no more pieces from `source`; closes it now or after its last piece. */
export function leaveSource(state: State, source: Source): void {
  if (source.state !== 'open') return closeSource(state, source, true);
  partSource(state, source);
  closeIfParted(state, source);
}

export function closeIfParted(state: State, source: Source): void {
  if (source.state === 'parting' && source.flights.length === 0) closeSource(state, source, true);
}

/** The peer on `link` opens the blob of `edge`. */
export function openSink(state: State, edge: Edge, link: InLink, asked: Open): Sink {
  const sink = beginSink(state, edge, link, asked);
  (link as OurInLink).sinceMs = state.nowMs;
  (edge as OurEdge).sink = sink;
  settleEdge(state, edge);
  return sink;
}

/** Ends `sink`, with a Refuse where it is our doing. */
export function closeSink(state: State, sink: Sink, reason: RefuseReason | undefined): void {
  const { blob, edge, link } = sink;
  endSink(state, sink);
  if (link.sinks.length === 0) (link as OurInLink).sinceMs = state.nowMs;
  (edge as OurEdge).sink = undefined;
  settleEdge(state, edge);
  if (reason !== undefined) state.send(link, { kind: 'refuse', swarm: sink.swarm, reason, peers: [] });
  if (blob.unfinished) state.due.mark('connect', blob);
}

/** No new pieces either way; whoever pulls closes after its last piece in flight. */
export function leaveEdge(state: State, { source, sink }: Edge): void {
  if (sink?.state === 'pending') closeSink(state, sink, 'leaving');
  else if (sink?.state === 'open') partSink(state, sink);
  if (source !== undefined) leaveSource(state, source);
}

/** Its source or its sink has begun, opened or ended. */
export function settleEdge(state: State, edge: Edge): void {
  const { source, sink, peer, blob } = edge;
  const accepted = sink !== undefined || source?.state === 'open' || source?.state === 'parting';
  const to = accepted ? 'kept' : source !== undefined ? 'hoped' : 'gone';
  if (to === edge.state) return;
  (edge as OurEdge).state = next(edgeLife, edge.state, to);
  if (to !== 'gone') return;
  takeOut((blob.graph as OurGraphBlob).edges, edge);
  (peer as OurPeer).edges -= 1;
  if (peer.edges === 0) (state.graph as OurGraph).neighbours -= 1;
  forgetPeer(state, peer);
}

// ---- candidates -------------------------------------------------------------------------------------

export function addCandidates(state: State, blob: Blob, peers: readonly PeerAddress[]): void {
  const { candidates } = blob.graph as OurGraphBlob;
  for (const address of peers) {
    if (address.port === 0 || address.node === state.config.self.node) continue;
    if (candidates.some((known) => known.address.node === address.node)) continue;
    const candidate: Candidate = { address, notBeforeMs: 0, failures: 0 };
    if (candidates.length < candidatesPerBlobMax) candidates.push(candidate);
    else candidates[state.config.prng.below(candidatesPerBlobMax)] = candidate;
  }
}

/**
 * `teller` named these. One of our own zone names others of it only: links between zones are few, and a tracker says
 * whose, unless nothing comes by them.
 */
export function hearOf(state: State, blob: Blob, teller: Peer, peers: readonly PeerAddress[]): void {
  const anybody = teller.far || looksAbroad(blob);
  addCandidates(state, blob, anybody ? peers : peers.filter((address) => !state.isFar(address)));
}

/** Whether it looks for anybody who has something for it. */
export function looksAbroad({ graph, pulling }: Blob): boolean {
  return graph.starving.rounds > 0 || pulling.abroad.liftedUntilMs > 0;
}

/**
 * Whether it also pulls from one in another zone who pulls from it: who has such links takes a few. Who has none leaves
 * that to the few of its zone.
 */
export function takesFar(blob: Blob): boolean {
  const far = farSources(blob);
  return looksAbroad(blob) || (far > 0 && far < farLinksMax);
}

export function farSources({ graph: { edges } }: Blob): number {
  let far = 0;
  for (const { peer, source } of edges) if (peer.far && source !== undefined) far += 1;
  return far;
}

/** Edges within our zone, kept or not. */
export function nearEdges({ graph: { edges } }: Blob): number {
  let count = 0;
  for (const { peer } of edges) if (!peer.far) count += 1;
  return count;
}

/** It did not work out with this one: not again at once. */
export function restCandidate(state: State, blob: Blob, address: PeerAddress): void {
  addCandidates(state, blob, [address]);
  const candidate = candidateOf(blob, address.node);
  if (candidate === undefined) return;
  candidate.failures += 1;
  candidate.notBeforeMs = state.nowMs + state.jitter(candidateRestMs * 2 ** (candidate.failures - 1));
  if (candidate.failures > candidateFailuresMax) dropCandidate(blob, address.node);
}

export function dropCandidate(blob: Blob, node: string): void {
  const { candidates } = blob.graph as OurGraphBlob;
  const at = candidates.findIndex((known) => known.address.node === node);
  if (at >= 0) candidates.splice(at, 1);
}

/** Nobody is looked for any more. */
export function dropCandidates(blob: Blob): void {
  (blob.graph as OurGraphBlob).candidates = [];
}

/** Whether this one failed a short while ago. */
export function resting(state: State, blob: Blob, node: string): boolean {
  const known = candidateOf(blob, node);
  return known !== undefined && known.notBeforeMs > state.nowMs;
}

/** It worked: its failures are forgiven. */
export function praiseCandidate(blob: Blob, node: string): void {
  const candidate = candidateOf(blob, node);
  if (candidate !== undefined) candidate.failures = 0;
}

function candidateOf(blob: Blob, node: string): OurCandidate | undefined {
  return blob.graph.candidates.find((known) => known.address.node === node);
}

/** Which candidates to look at: of a role, and whether a few more peers than usual are right. */
export type Choice = { readonly role?: PeerAddress['role']; readonly far?: boolean; readonly urgent?: boolean };

/** One to connect to next: a peer that we have a link with where there is one, else any. */
export function pickCandidate(
  state: State,
  blob: Blob,
  { role, far, urgent = false }: Choice = {},
): PeerAddress | undefined {
  const roomForPeers = hasRoom(state, urgent);
  let pick: PeerAddress | undefined;
  let linked = false;
  let ties = 0;
  for (const { address, notBeforeMs } of blob.graph.candidates) {
    if (role !== undefined && address.role !== role) continue;
    if (far !== undefined && state.isFar(address) !== far) continue;
    if (notBeforeMs > state.nowMs || blob.edgeOf(address.node) !== undefined) continue;
    if (state.graph.bans.banned(address.node, state.nowMs)) continue;
    const known = state.graph.peers.has(address.node);
    if ((!known && !roomForPeers) || (linked && !known)) continue;
    if (known && !linked) ties = 0;
    linked ||= known;
    ties += 1;
    if (state.config.prng.below(ties) === 0) pick = address;
  }
  return pick;
}

/** For one more peer. Those whose link is idle count only where they are many: tend closes them soon. */
function hasRoom({ graph: { neighbours, peers }, config }: State, urgent: boolean): boolean {
  const most = config.policy.neighboursMax + (urgent ? degreeSlack : 0);
  return neighbours < most && peers.size < 2 * most;
}
