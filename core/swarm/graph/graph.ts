/**
 * The graph of each blob: near-regular, of the policy's degree. A blob that pulls dials candidates
 * until it has its degree, at most half of it at a time (the rest dial us), and asks the tracker
 * for more when it has none left. Neighbours tell each other of neighbours, so that a swarm
 * outlives its trackers. offers.ts: how a full neighbourhood takes a newcomer in.
 */

import type { PeerAddress } from '../../wire/messages.ts';
import {
  beyondMax,
  degreeSlack,
  gossipMs,
  graphMs,
  greetingMs,
  hashesMs,
  idleMs,
  idleMsMany,
  offerMs,
  openersMs,
  openingMs,
  peersToldMax,
  seekMs,
  seekMsMax,
  starvedMs,
  starvedMsMax,
  unheardMs,
  zombieMs,
} from '../limits.ts';
import { reviewAll, wanted } from '../pulling/interest.ts';
import { askHashes } from '../pulling/learning.ts';
import type { Blob } from '../records/blob.ts';
import type { Edge, Link, Source } from '../records/links.ts';
import type { State } from '../records/state.ts';
import { pickCandidate, resting } from './candidates.ts';
import { closeLink, closeSink, closeSource, edgeTo, openSource, peerAt } from './edges.ts';
import { expireOffers } from './offers.ts';

/** Neighbours of `blob` that have accepted us or been accepted. */
export function degree(blob: Blob): number {
  let count = 0;
  for (const edge of blob.edges) if (established(edge)) count += 1;
  return count;
}

/** Looks for neighbours where `blob` has too few, or has only such as have nothing for it. */
export function connectMore(state: State, blob: Blob): void {
  if (!blob.pulling) return;
  // Without metainfo nobody can be opened, however many candidates there are: only the tracker helps.
  if (blob.stage === 'bare') seek(state, blob);
  if (blob.stage === 'rooted' && blob.lead === undefined) askHashes(state, blob);
  fill(state, blob);
  openBeyond(state, blob);
}

/** Dials until the degree is reached; gives up openings that are no longer needed. */
function fill(state: State, blob: Blob): void {
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
    openSource(state, edgeTo(state, blob, peerAt(state, address)), 0, undefined);
    room -= 1;
    openings += 1;
  }
}

/**
 * Whether openings beyond the degree are right. All our neighbours may wait as we do: each counts the
 * others as neighbours, so none would ever dial somebody who has what all of them lack.
 */
function beyond(state: State, blob: Blob): boolean {
  if (blob.hunger.openings > 0) return true;
  // Nobody has told what the blob consists of for so long.
  const unheard = blob.stage === 'rooted' && blob.sources.length === 0 && state.nowMs - blob.rootedMs > unheardMs;
  return unheard && degree(blob) >= state.config.policy.neighboursPerBlobMax - 1;
}

/** A few more are opened, origins first. Who has nothing for us either is closed when it answers (opening.ts). */
function openBeyond(state: State, blob: Blob): void {
  if (!beyond(state, blob)) return;
  const { hunger } = blob;
  const urgent = hunger.openings > 0;
  let openings = 0;
  for (const edge of blob.edges) if (!established(edge)) openings += 1;
  const edgesMax = state.config.policy.neighboursPerBlobMax + degreeSlack;
  while (openings < beyondMax && blob.edges.length < edgesMax) {
    const address = pickCandidate(state, blob, { role: 'origin', urgent }) ?? pickCandidate(state, blob, { urgent });
    if (address === undefined) return seek(state, blob);
    openSource(state, edgeTo(state, blob, peerAt(state, address)), 0, undefined);
    openings += 1;
    if (!urgent) continue;
    hunger.openings -= 1;
    if (hunger.openings === 0) return;
  }
}

/**
 * Rounds of looking elsewhere, for a blob that starves: the tracker is asked at once, and a few are
 * opened beyond the degree. After the first round edge offers are taken beyond it as well, for the
 * one who has it all may be full; so the edges that are of least use may have to make room.
 */
function feel(state: State, blob: Blob): void {
  const { hunger } = blob;
  if (!starves(blob) || blob.heldCount !== hunger.held) {
    hunger.sinceMs = state.nowMs;
    hunger.held = blob.heldCount;
    hunger.rounds = 0;
    hunger.openings = 0;
    return;
  }
  if (state.nowMs - hunger.sinceMs < Math.min(starvedMsMax, starvedMs * 2 ** hunger.rounds)) return;
  hunger.sinceMs = state.nowMs;
  hunger.rounds += 1;
  hunger.openings = beyondMax;
  blob.seekAtMs = 0;
  seek(state, blob);
  const edgesMax = state.config.policy.neighboursPerBlobMax + degreeSlack;
  if (hunger.rounds > 1 && blob.edges.length > edgesMax - 2) dropUseless(state, blob);
}

/** Nothing is on its way, and nobody whom we know has anything for us. One who is slow has something. */
function starves(blob: Blob): boolean {
  if (blob.stage === 'bare' || blob.restsUntilMs > 0 || blob.uncheckedPieces > 0) return false;
  // Whose readers have all that there is room for is full.
  if (blob.scope !== undefined && blob.openCount === 0) return false;
  for (const source of blob.sources) if (source.flights.length > 0 || wanted(source) > 0) return false;
  return true;
}

/** Closes an edge to a neighbour that neither has something for us nor wants something, if there is one: no origin where it can be helped. */
function dropUseless(state: State, blob: Blob): void {
  const useless = blob.edges.filter((edge) => established(edge) && (edge.sink?.count ?? 0) === 0);
  const agents = useless.filter(({ peer }) => peer.address.role === 'agent');
  const from = agents.length > 0 ? agents : useless;
  if (from.length === 0) return;
  const { source, sink } = from[state.config.prng.below(from.length)]!;
  if (sink !== undefined) closeSink(state, sink, 'full');
  if (source !== undefined) closeSource(state, source, true);
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
  for (const address of blob.openers.since(state.nowMs - openersMs)) {
    if (address.node !== node && blob.edgeOf(address.node) === undefined) pool.push(address);
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
    feel(state, blob);
    connectMore(state, blob);
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
  if (blob.hunger.rounds > 0 || beyond(state, blob)) return;
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
  const idle = state.peers.size > state.config.policy.neighboursMax ? idleMsMany : idleMs;
  if (link.state !== 'active') {
    if (ageMs > greetingMs) closeLink(state, link, 'no greeting', 'slow');
  } else if (link.kind === 'in') {
    if (link.sinks.length === 0 && ageMs > 2 * idle) closeLink(state, link, 'idle', 'idle');
  } else if (link.sources.length === 0) {
    if (ageMs > idle) closeLink(state, link, 'idle', 'idle');
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
  if (quietMs > zombieMs) closeLink(state, source.link, 'a piece made no progress', 'slow');
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
