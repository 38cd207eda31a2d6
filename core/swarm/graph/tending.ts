/**
 * The regular look at everything: links and openings that wait too long, links that are idle, blobs that need
 * neighbours or rest no longer; and neighbours are told of neighbours.
 */

import {
  gossipMs,
  graphMs,
  greetingMs,
  hashesMs,
  idleMs,
  idleMsMany,
  offerMs,
  openingMs,
  zombieMs,
} from '../limits.ts';
import { askHashes } from '../pulling/hash-list.ts';
import { resume } from '../pulling/puller.ts';
import type { Blob, Link, Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import { closeLink } from './closing.ts';
import { expireOffers } from './edge-offers.ts';
import { closeSource } from './edges.ts';
import { connectMore, feedStarving, neighboursFor, pairEdges } from './neighbours.ts';

export function tend(state: State): void {
  expireOffers(state);
  for (const link of [...state.graph.links.values()]) tendLink(state, link);
  for (const blob of state.unfinished) tendBlob(state, blob);
  if (state.nowMs >= state.due.gossipAtMs) gossip(state);
  const busy = state.graph.links.size > 0 || state.unfinished.size > 0 || state.graph.offers.length > 0;
  state.due.graphAtMs = busy ? state.nowMs + state.jitter(graphMs) : Infinity;
}

function tendBlob(state: State, blob: Blob): void {
  resume(state, blob);
  const { learning } = blob.pulling;
  if (learning !== undefined && state.nowMs - learning.askedMs > hashesMs) askHashes(state, blob);
  pairEdges(state, blob);
  feedStarving(state, blob);
  connectMore(state, blob);
}

function tendLink(state: State, link: Link): void {
  const ageMs = state.nowMs - link.sinceMs;
  const idle = state.graph.peers.size > state.config.policy.neighboursMax ? idleMsMany : idleMs;
  if (link.state !== 'active') {
    if (ageMs > greetingMs) closeLink(state, link, 'no greeting', 'slow');
  } else if (link.kind === 'in') {
    if (link.sinks.length === 0 && ageMs > 2 * idle) closeLink(state, link, 'idle', 'idle');
  } else if (link.sources.length === 0) {
    if (ageMs > idle) closeLink(state, link, 'idle', 'idle');
  } else {
    // Backwards, for it may end them; should it close the link, none is left to look at.
    for (let i = link.sources.length - 1; i >= 0; i -= 1) {
      const source = link.sources[i];
      if (source !== undefined) tendSource(state, source);
    }
  }
}

function tendSource(state: State, source: Source): void {
  const ageMs = state.nowMs - source.sinceMs;
  if (source.state === 'opening' && ageMs > openingMs) closeSource(state, source, true);
  if (source.state === 'offered' && ageMs > offerMs) closeSource(state, source, true);
  if (source.state !== 'closed') return;
  const quietMs = state.nowMs - Math.max(source.sinceMs, source.link.feeder.arrivedMs);
  if (quietMs > zombieMs) closeLink(state, source.link, 'a piece made no progress', 'slow');
}

function gossip(state: State): void {
  state.due.gossipAtMs = state.nowMs + state.jitter(gossipMs);
  for (const blob of state.byDigest.values()) {
    for (const sink of blob.feeding.sinks) {
      if (sink.state !== 'open') continue;
      const peers = neighboursFor(state, blob, sink.edge.peer.node);
      if (peers.length > 0) state.send(sink.link, { kind: 'neighbours', swarm: sink.swarm, peers });
    }
  }
}
