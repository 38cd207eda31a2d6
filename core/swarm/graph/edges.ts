/**
 * Making and unmaking: peers, edges, sources, sinks, links. Whoever ends something ends it here, so
 * that every count and every piece in flight is given back on each way out.
 *
 * Rule: a closed source stays on its link until the pieces that were on their way have come, for
 * the host must still be told what they are.
 */

import type { GoodbyeReason, PeerAddress, RefuseReason } from '../../wire/messages.ts';
import { takeBack } from '../feeding/naming.ts';
import { end, setCount } from '../feeding/uplink.ts';
import { giveBack, join, leave, review } from '../pulling/interest.ts';
import { noLongerAway } from '../pulling/room.ts';
import type { Blob } from '../records/blob.ts';
import {
  type Edge,
  type Flight,
  findSource,
  type InLink,
  type Link,
  OutLink,
  type Peer,
  type Sink,
  Sink as SinkRecord,
  Source,
  takeOut,
} from '../records/links.ts';
import type { State } from '../records/state.ts';
import { restCandidate } from './candidates.ts';

/** A swarm's number has 16 bits on the wire; it comes round long after its last message. */
const swarmMask = 0xffff;

export function peerAt(state: State, address: PeerAddress): Peer {
  const known = state.peers.get(address.node);
  if (known !== undefined) return known;
  const peer: Peer = { node: address.node, address, out: undefined, in: undefined, edges: 0 };
  state.peers.set(peer.node, peer);
  return peer;
}

/** The edge to `peer` in `blob`'s graph; made where there is none. */
export function edgeTo(state: State, blob: Blob, peer: Peer): Edge {
  const known = blob.edgeOf(peer.node);
  if (known !== undefined) return known;
  const edge: Edge = { peer, blob, source: undefined, sink: undefined };
  blob.edges.push(edge);
  if (peer.edges === 0) state.neighbours += 1;
  peer.edges += 1;
  return edge;
}

/** Our link to `peer`, dialled now where there is none. */
export function linkTo(state: State, peer: Peer): OutLink {
  if (peer.out !== undefined) return peer.out;
  const link = new OutLink(state.nextLink, peer, state.nowMs);
  state.nextLink += 2;
  peer.out = link;
  state.links.set(link.no, link);
  state.out.push({ kind: 'dial', link: link.no, peer: peer.address });
  return link;
}

/** Begins to pull `blob` from `peer`. `token` and `via`: by an edge offer. */
export function openSource(state: State, edge: Edge, token: number, via: Source | undefined): Source {
  const link = linkTo(state, edge.peer);
  while (findSource(link, link.nextSwarm & swarmMask) !== undefined) link.nextSwarm += 1;
  const source = new Source(link, link.nextSwarm & swarmMask, edge);
  link.nextSwarm += 1;
  source.token = token;
  source.via = via;
  source.sinceMs = state.nowMs;
  edge.source = source;
  link.sources.push(source);
  sendOpen(state, source);
  return source;
}

/** Sends Open as soon as there is a link and a metainfo to size its answer by. */
export function sendOpen(state: State, source: Source): void {
  const { blob, link } = source;
  if (link.state === 'dialling' || blob.stage === 'bare') return;
  if (source.state !== 'waiting' && source.state !== 'offered') return;
  source.state = 'opening';
  source.sinceMs = state.nowMs;
  const leads = blob.lead === undefined && blob.stage === 'rooted';
  if (leads) {
    blob.lead = source;
    blob.hashesAskedMs = state.nowMs;
  }
  // One opener at a time asks for what comes unasked, else every feeder sends it.
  source.gift = leads && blob.heldCount === 0;
  state.send(link, {
    kind: 'open',
    swarm: source.swarm,
    digest: blob.digest,
    token: source.token,
    empty: source.gift,
    needHashes: leads,
  });
}

export function openedSource(state: State, source: Source): void {
  source.state = 'open';
  join(state, source);
}

/** Takes no more pieces from `source`; closes it now or after its last piece. */
export function partSource(state: State, source: Source): void {
  if (source.state !== 'open') return closeSource(state, source, true);
  source.state = 'parting';
  review(state, source);
  closeIfParted(state, source);
}

export function closeIfParted(state: State, source: Source): void {
  if (source.state === 'parting' && source.flights.length === 0) closeSource(state, source, true);
}

/** Ends `source`; `tell` the feeder unless it was its doing. What was on its way from it is open again. */
export function closeSource(state: State, source: Source, tell: boolean): void {
  if (source.state === 'closed') return;
  const { blob, edge, link } = source;
  const opened = source.state !== 'waiting';
  leave(source);
  source.state = 'closed';
  source.sinceMs = state.nowMs;
  for (const flight of source.flights) abandon(state, flight);
  if (source.flights.length === 0) takeOut(link.sources, source);
  if (link.sources.length === 0) link.sinceMs = state.nowMs;
  if (blob.lead === source) blob.lead = undefined;
  if (blob.pulling) restCandidate(state, blob, edge.peer.address);
  edge.source = undefined;
  dropBareEdge(state, edge);
  if (tell && opened) state.send(link, { kind: 'close', swarm: source.swarm });
  if (blob.pulling) state.needy.add(blob);
}

/** The piece of `flight` may be fetched elsewhere; if it still comes it is thrown away. */
export function abandon(state: State, flight: Flight): void {
  if (flight.state === 'cancelled') return;
  const { blob } = flight.source;
  const twin = flight.state === 'hedge' || flight.state === 'hedged';
  if (flight.state === 'hedge') blob.hedging -= 1;
  if (flight.state === 'late') unlate(state, flight);
  flight.state = 'cancelled';
  if (!twin) giveBack(state, blob, flight.piece);
  else settleTwin(state, blob, flight);
}

/** One of two flights of a piece is gone: the other stands alone again. */
function settleTwin(state: State, blob: Blob, gone: Flight): void {
  for (const source of blob.sources) {
    for (const flight of source.flights) {
      if (flight.piece !== gone.piece || flight === gone || flight.state === 'cancelled') continue;
      if (flight.state === 'hedge') blob.hedging -= 1;
      flight.state = 'due';
      return;
    }
  }
  giveBack(state, blob, gone.piece);
}

/** The late piece no longer waits for a hedge. */
export function unlate(state: State, flight: Flight): void {
  const { blob } = flight.source;
  if (!takeOut(blob.late, flight)) return;
  for (const source of blob.sources) review(state, source);
}

export function makeSink(state: State, link: InLink, swarm: number, edge: Edge): Sink {
  const sink = new SinkRecord(link, swarm, edge);
  edge.sink = sink;
  link.sinks.push(sink);
  link.sinceMs = state.nowMs;
  edge.blob.sinks.push(sink);
  return sink;
}

/** Gives `sink` no more grants; its puller closes it. */
export function partSink(state: State, sink: Sink): void {
  if (sink.state === 'pending') return closeSink(state, sink, 'leaving');
  sink.state = 'parting';
  setCount(state, sink, 0);
}

/** Ends `sink`, with a Refuse where it is our doing. */
export function closeSink(state: State, sink: Sink, reason: RefuseReason | undefined): void {
  const { blob, edge, link } = sink;
  takeBack(sink);
  setCount(state, sink, 0);
  while (sink.allowances.length > 0) {
    const allowance = sink.allowances[sink.allowances.length - 1]!;
    const { grant, piece, state: was } = allowance;
    end(state, sink, allowance, false);
    if (was === 'sending') state.out.push({ kind: 'unfeed', link: link.no, grant, swarm: sink.swarm, piece });
  }
  takeOut(blob.sinks, sink);
  if (blob.wishing) state.wishesMayChange(blob, false);
  takeOut(link.sinks, sink);
  if (link.sinks.length === 0) link.sinceMs = state.nowMs;
  edge.sink = undefined;
  dropBareEdge(state, edge);
  if (reason !== undefined) state.send(link, { kind: 'refuse', swarm: sink.swarm, reason, peers: [] });
  if (blob.pulling) state.needy.add(blob);
}

function dropBareEdge(state: State, edge: Edge): void {
  if (edge.source !== undefined || edge.sink !== undefined) return;
  if (takeOut(edge.blob.edges, edge)) {
    edge.peer.edges -= 1;
    if (edge.peer.edges === 0) state.neighbours -= 1;
  }
  forgetPeer(state, edge.peer);
}

/** Closes a link by our doing. */
export function closeLink(state: State, link: Link, why: string, reason: GoodbyeReason): void {
  if (!state.links.has(link.no)) return;
  if (link.kind === 'in' || link.state !== 'dialling') state.send(link, { kind: 'goodbye', reason });
  const whose = reason === 'fault' || reason === 'slow' ? reason : 'none';
  state.out.push({ kind: 'close', link: link.no, why, whose });
  forgetLink(state, link);
}

/** The link is gone: so is all that it carried. */
export function forgetLink(state: State, link: Link): void {
  state.links.delete(link.no);
  if (link.kind === 'out') {
    noLongerAway(state, link);
    while (link.sources.length > 0) {
      const source = link.sources[link.sources.length - 1]!;
      closeSource(state, source, false);
      if (source.flights.length > 0) state.lossDue = true;
      for (const flight of source.flights) landed(state, flight);
      source.flights.length = 0;
      takeOut(link.sources, source);
    }
    if (link.peer.out === link) link.peer.out = undefined;
    forgetPeer(state, link.peer);
  } else {
    while (link.sinks.length > 0) closeSink(state, link.sinks[link.sinks.length - 1]!, undefined);
    if (link.peer?.in === link) link.peer.in = undefined;
    if (link.peer !== undefined) forgetPeer(state, link.peer);
  }
}

/** The flight takes no more of the downlink. */
export function landed(state: State, flight: Flight): void {
  state.moves(flight.source.link);
  state.inPieces -= 1;
  state.inBytes -= flight.bytes;
  state.roomDue = true;
}

function forgetPeer(state: State, peer: Peer): void {
  if (peer.out === undefined && peer.in === undefined && peer.edges === 0) state.peers.delete(peer.node);
}
