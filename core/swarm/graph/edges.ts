/**
 * Making and unmaking: peers, edges, and the source and the sink of an edge. Whoever ends one of these ends it here, so
 * that every count and every piece in flight is given back on each way out. closing.ts ends links.
 */

import type { Open, PeerAddress, RefuseReason } from '../../wire/messages.ts';
import { beginSink, endSink, partSink } from '../feeding/sinks.ts';
import { beginSource, endSource, type Invitation, partSource, sendOpen } from '../pulling/sources.ts';
import { edgeLife, next } from '../records/lives.ts';
import { takeOut } from '../records/ours.ts';
import {
  type Blob,
  Edge,
  findSource,
  type InLink,
  OutLink,
  type Peer,
  type Sink,
  type Source,
} from '../records/records.ts';
import type { State } from '../records/state.ts';
import { restCandidate } from './candidates.ts';
import type { OurEdge, OurGraph, OurGraphBlob, OurInLink, OurOutLink, OurPeer } from './ours.ts';

/** A swarm's number has 16 bits on the wire; it comes round long after its last message. */
const swarmMask = 0xffff;
const uninvited: Invitation = { token: 0, via: undefined };

export function peerAt(state: State, address: PeerAddress): Peer {
  const { peers } = state.graph as OurGraph;
  const known = peers.get(address.node);
  if (known !== undefined) return known;
  const peer: Peer = { node: address.node, address, out: undefined, in: undefined, edges: 0 };
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
  if (blob.unfinished) state.due.connect.add(blob);
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
  const sink = beginSink(edge, link, asked);
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
  if (blob.unfinished) state.due.connect.add(blob);
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
