/**
 * The graph of each blob: near-regular, of the policy's degree. A blob that pulls dials candidates
 * until it has its degree, at most half of it at a time (the rest dial us), and asks the tracker
 * for more when it has none left. Neighbours tell each other of neighbours, so that a swarm
 * outlives its trackers. offers.ts: how a full neighbourhood takes a newcomer in.
 */

import type { PeerAddress } from '../wire/messages.ts';
import type { Blob } from './blob.ts';
import { pickCandidate, resting } from './candidates.ts';
import { closeLink, closeSource, edgeTo, openSource, peerAt } from './edges.ts';
import { reviewAll } from './interest.ts';
import { askHashes } from './learning.ts';
import {
  beyondMax,
  degreeSlack,
  gossipMs,
  graphMs,
  greetingMs,
  hashesMs,
  idleMs,
  offerMs,
  openingMs,
  peersToldMax,
  seekMs,
  seekMsMax,
  unheardMs,
  zombieMs,
} from './limits.ts';
import type { Edge, Link, Source } from './links.ts';
import { expireOffers } from './offers.ts';
import type { State } from './state.ts';

/** Neighbours of `blob` that have accepted us or been accepted. */
export function degree(blob: Blob): number {
  let count = 0;
  for (const edge of blob.edges) if (established(edge)) count += 1;
  return count;
}

/** Looks for neighbours where `blob` has too few; gives up openings that it no longer needs. */
export function connectMore(state: State, blob: Blob): void {
  if (!blob.pulling) return;
  // Without metainfo nobody can be opened, however many candidates there are: only the tracker helps.
  if (blob.stage === 'bare') seek(state, blob);
  if (blob.stage === 'rooted' && blob.lead === undefined) askHashes(state, blob);
  const { neighboursPerBlobMax } = state.config.policy;
  let room = neighboursPerBlobMax - degree(blob);
  // One short is near enough, since an edge offer adds two; unless one is much.
  if (room <= (neighboursPerBlobMax > 4 ? 1 : 0)) {
    return room <= 0 ? cancelOpenings(state, blob) : undefined;
  }
  let openings = blob.edges.length - (neighboursPerBlobMax - room);
  const openingsMax = Math.max(2, neighboursPerBlobMax >> 1);
  room -= openings;
  while (room > 0 && openings < openingsMax) {
    const address = pickCandidate(state, blob);
    if (address === undefined) return seek(state, blob);
    openSource(state, edgeTo(blob, peerAt(state, address)), 0, undefined);
    room -= 1;
    openings += 1;
  }
}

/** Nobody has told what the blob consists of for so long that openings beyond the degree are right. */
function beyond(state: State, blob: Blob): boolean {
  return blob.stage === 'rooted' && blob.sources.length === 0 && state.nowMs - blob.rootedMs > unheardMs;
}

/**
 * All our neighbours wait, as we do, and have for a while. Each counts the others as neighbours, so
 * none would ever dial somebody who knows: a few more are opened, origins first, until one answers.
 */
function openBeyond(state: State, blob: Blob): void {
  if (!beyond(state, blob) || degree(blob) < state.config.policy.neighboursPerBlobMax - 1) return;
  let openings = 0;
  for (const { sink, source } of blob.edges) if (sink === undefined && source !== undefined) openings += 1;
  const edgesMax = state.config.policy.neighboursPerBlobMax + degreeSlack;
  while (openings < beyondMax && blob.edges.length < edgesMax) {
    const address = pickCandidate(state, blob, 'origin') ?? pickCandidate(state, blob);
    if (address === undefined) return seek(state, blob);
    openSource(state, edgeTo(blob, peerAt(state, address)), 0, undefined);
    openings += 1;
  }
}

/** An edge carries both ways: whoever pulls from us is pulled from, also where it refused us before it knew the blob. */
function pairEdges(state: State, blob: Blob): void {
  for (const edge of blob.edges) {
    if (edge.source !== undefined || edge.sink?.state !== 'open') continue;
    const { address, node } = edge.peer;
    if (address.port === 0 || state.bans.banned(node, state.nowMs) || resting(state, blob, node)) continue;
    openSource(state, edge, 0, undefined);
  }
}

/** Some neighbours of `blob` to tell `node` of. */
export function neighboursFor(state: State, blob: Blob, node: string): PeerAddress[] {
  const pool: PeerAddress[] = [];
  for (const { peer } of blob.edges) {
    if (peer.node !== node && peer.address.port !== 0) pool.push(peer.address);
  }
  const told: PeerAddress[] = [];
  while (told.length < peersToldMax && pool.length > 0) {
    const at = state.config.prng.below(pool.length);
    told.push(pool[at]!);
    pool[at] = pool[pool.length - 1]!;
    pool.pop();
  }
  return told;
}

/** The regular look at everything: what waits too long, what is idle, who needs neighbours. */
export function tend(state: State): void {
  expireOffers(state);
  for (const link of [...state.links.values()]) tendLink(state, link);
  for (const blob of state.pulling) {
    if (blob.restsUntilMs > 0 && blob.restsUntilMs <= state.nowMs) {
      blob.restsUntilMs = 0;
      reviewAll(state, blob);
    }
    if (blob.stage === 'rooted' && state.nowMs - blob.hashesAskedMs > hashesMs) askHashes(state, blob);
    pairEdges(state, blob);
    connectMore(state, blob);
    openBeyond(state, blob);
  }
  if (state.nowMs >= state.gossipAtMs) gossip(state);
  const busy = state.links.size > 0 || state.pulling.size > 0 || state.offers.length > 0;
  state.graphAtMs = busy ? state.nowMs + state.jitter(graphMs) : Infinity;
}

/** Asks the host for candidates, less and less often while that does not help. */
function seek(state: State, blob: Blob): void {
  if (state.nowMs < blob.seekAtMs) return;
  // Without metainfo edges help nobody.
  const lost = blob.edges.length === 0 || blob.stage === 'bare';
  const ceiling = lost ? seekMsMax / 8 : seekMsMax;
  blob.seekEveryMs = Math.min(ceiling, Math.max(seekMs, blob.seekEveryMs * 2));
  blob.seekAtMs = state.nowMs + state.jitter(blob.seekEveryMs);
  state.out.push({ kind: 'seek', blob: blob.no });
}

function cancelOpenings(state: State, blob: Blob): void {
  // Those beyond the degree may be the only ones to tell.
  if (beyond(state, blob)) return;
  for (let i = blob.edges.length - 1; i >= 0; i -= 1) {
    const edge = blob.edges[i]!;
    if (!established(edge) && edge.source !== undefined && edge.source.token === 0)
      closeSource(state, edge.source, true);
  }
}

/** Whether either side has said yes; the opposite of one that we merely hope for. */
export function established(edge: Edge): boolean {
  return edge.sink !== undefined || edge.source?.state === 'open' || edge.source?.state === 'parting';
}

function tendLink(state: State, link: Link): void {
  const ageMs = state.nowMs - link.sinceMs;
  if (link.state !== 'active') {
    if (ageMs > greetingMs) closeLink(state, link, 'no greeting', 'idle');
  } else if (link.kind === 'in') {
    if (link.sinks.length === 0 && ageMs > 2 * idleMs) closeLink(state, link, 'idle', 'idle');
  } else if (link.sources.length === 0) {
    if (ageMs > idleMs) closeLink(state, link, 'idle', 'idle');
  } else {
    for (let i = link.sources.length - 1; i >= 0; i -= 1) tendSource(state, link.sources[i]!);
  }
}

function tendSource(state: State, source: Source): void {
  const ageMs = state.nowMs - source.sinceMs;
  if (source.state === 'opening' && ageMs > openingMs) closeSource(state, source, true);
  if (source.state === 'offered' && ageMs > offerMs) closeSource(state, source, true);
  if (source.state !== 'closed') return;
  const quietMs = state.nowMs - Math.max(source.sinceMs, source.link.arrivedMs);
  if (quietMs > zombieMs) closeLink(state, source.link, 'a piece made no progress', 'idle');
}

function gossip(state: State): void {
  state.gossipAtMs = state.nowMs + state.jitter(gossipMs);
  for (const blob of state.byDigest.values()) {
    for (const sink of blob.sinks) {
      if (sink.state !== 'open') continue;
      const peers = neighboursFor(state, blob, sink.edge.peer.node);
      if (peers.length > 0) state.send(sink.link, { kind: 'neighbours', swarm: sink.swarm, peers });
    }
  }
}
