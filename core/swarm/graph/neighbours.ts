/**
 * The graph of each blob: near-regular, of the policy's degree. A blob that pulls dials candidates
 * until it has its degree, at most half of it at a time (the rest dial us), and asks the tracker
 * for more when it has none left. Neighbours tell each other of neighbours, so that a swarm
 * outlives its trackers. edge-offers.ts: how a full neighbourhood takes a newcomer in.
 */

import { isFar } from '../../place.ts';
import type { PeerAddress } from '../../wire/messages.ts';
import {
  beyondMax,
  degreeSlack,
  farLinksAloneMax,
  farLinksMax,
  gossipMs,
  graphMs,
  hashesMs,
  openersMs,
  peersToldMax,
  seekMs,
  seekMsMax,
  starvedMs,
  starvedMsMax,
  unheardMs,
} from '../limits.ts';
import { watchAbroad } from '../pulling/far.ts';
import { askHashes } from '../pulling/learning.ts';
import { resume } from '../pulling/puller.ts';
import { wanted } from '../pulling/trust.ts';
import { abroadChanges } from '../pulling/wants.ts';
import type { Blob, Peer } from '../records/records.ts';
import type { State } from '../records/state.ts';
import { expireOffers } from './edge-offers.ts';
import {
  closeSink,
  closeSource,
  edgeTo,
  farSources,
  looksAbroad,
  nearEdges,
  openSource,
  pickCandidate,
  resting,
  takesFar,
} from './edges.ts';
import { tendLink } from './links.ts';
import type { OurGraphBlob, OurStarving } from './ours.ts';

/** Neighbours of `blob` that have accepted us or been accepted; those of other zones come beyond them. */
export function degree(blob: Blob): number {
  let count = 0;
  for (const { state, peer } of blob.graph.edges) if (state === 'kept' && !peer.far) count += 1;
  return count;
}

/** Looks for neighbours where `blob` has too few, or has only such as have nothing for it. */
export function connectMore(state: State, blob: Blob): void {
  if (!blob.unfinished) return;
  // Without metainfo nobody can be opened, however many candidates there are: only the tracker helps.
  if (blob.stage === 'bare') seek(state, blob);
  if (blob.pulling.learning !== undefined && blob.pulling.learning.lead === undefined) askHashes(state, blob);
  fill(state, blob);
  openFar(state, blob);
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
  let openings = nearEdges(blob) - (neighboursPerBlobMax - room);
  const openingsMax = Math.max(2, neighboursPerBlobMax >> 1);
  room -= openings;
  while (room > 0 && openings < openingsMax) {
    const address = pickCandidate(state, blob, { far: false });
    if (address === undefined) return seek(state, blob);
    openSource(state, edgeTo(state, blob, address));
    room -= 1;
    openings += 1;
  }
}

/** A few feeders in other zones, whom the tracker named to us and not to others; they count beyond the degree. */
function openFar(state: State, blob: Blob): void {
  if (!state.zoned) return;
  const { edges } = blob.graph;
  let far = farSources(blob);
  const most = edges.some(({ peer }) => !peer.far) ? farLinksMax : farLinksAloneMax;
  while (far < most) {
    const address = pickCandidate(state, blob, { far: true, urgent: true });
    if (address === undefined) return;
    openSource(state, edgeTo(state, blob, address));
    far += 1;
  }
}

/**
 * Whether openings beyond the degree are right. All our neighbours may wait as we do: each counts the
 * others as neighbours, so none would ever dial somebody who has what all of them lack.
 */
function beyond(state: State, blob: Blob): boolean {
  if (blob.graph.starving.openings > 0) return true;
  // Nobody has told what the blob consists of for so long.
  const { learning, sources } = blob.pulling;
  const unheard = learning !== undefined && sources.length === 0 && state.nowMs - learning.sinceMs > unheardMs;
  return unheard && degree(blob) >= state.config.policy.neighboursPerBlobMax - 1;
}

/** A few more are opened, origins first. Who has nothing for us either is closed when it answers (opening.ts). */
function openBeyond(state: State, blob: Blob): void {
  if (!beyond(state, blob)) return;
  const starving = blob.graph.starving as OurStarving;
  const urgent = starving.openings > 0;
  let openings = 0;
  for (const edge of blob.graph.edges) if (edge.state !== 'kept') openings += 1;
  const edgesMax = state.config.policy.neighboursPerBlobMax + degreeSlack;
  while (openings < beyondMax && blob.graph.edges.length < edgesMax) {
    const address = pickCandidate(state, blob, { role: 'origin', urgent }) ?? pickCandidate(state, blob, { urgent });
    if (address === undefined) return seek(state, blob);
    openSource(state, edgeTo(state, blob, address));
    openings += 1;
    if (!urgent) continue;
    starving.openings -= 1;
    if (starving.openings === 0) return;
  }
}

/**
 * Rounds of looking elsewhere, for a blob that starves: the tracker is asked at once, and a few are
 * opened beyond the degree. After the first round edge offers are taken beyond it as well, for the
 * one who has it all may be full; so the edges that are of least use may have to make room.
 */
export function feedStarving(state: State, blob: Blob): void {
  const starving = blob.graph.starving as OurStarving;
  if (!starves(blob) || blob.heldCount !== starving.held) {
    starving.sinceMs = state.nowMs;
    starving.held = blob.heldCount;
    starving.rounds = 0;
    starving.openings = 0;
    return;
  }
  if (state.nowMs - starving.sinceMs < Math.min(starvedMsMax, starvedMs * 2 ** starving.rounds)) return;
  starving.sinceMs = state.nowMs;
  starving.rounds += 1;
  starving.openings = beyondMax;
  (blob.graph as OurGraphBlob).seekAtMs = 0;
  seek(state, blob);
  const edgesMax = state.config.policy.neighboursPerBlobMax + degreeSlack;
  if (starving.rounds > 1 && blob.graph.edges.length > edgesMax - 2) dropUseless(state, blob);
}

/** Nothing is on its way, and nobody whom we know has anything for us. One who is slow has something. */
function starves(blob: Blob): boolean {
  if (blob.stage === 'bare' || blob.pulling.restsUntilMs > 0 || blob.pulling.unchecked > 0) return false;
  // Whose readers have all that there is room for is full, and who has all that is known waits for the origin.
  const { scope, openCount } = blob.pulling;
  if (openCount === 0 && (scope !== undefined || blob.stage === 'growing')) return false;
  for (const source of blob.pulling.sources) if (source.flights.length > 0 || wanted(source) > 0) return false;
  return true;
}

/** Closes an edge to a neighbour that neither has something for us nor wants something, if there is one: no origin where it can be helped. */
function dropUseless(state: State, blob: Blob): void {
  const useless = blob.graph.edges.filter((edge) => edge.state === 'kept' && (edge.sink?.count ?? 0) === 0);
  const agents = useless.filter(({ peer }) => peer.address.role === 'agent');
  const from = agents.length > 0 ? agents : useless;
  if (from.length === 0) return;
  const { source, sink } = from[state.config.prng.below(from.length)]!;
  if (sink !== undefined) closeSink(state, sink, 'full');
  if (source !== undefined) closeSource(state, source, true);
}

/** An edge carries both ways: whoever pulls from us is pulled from, also where it refused us before it knew the blob. */
export function pairEdges(state: State, blob: Blob): void {
  for (const edge of blob.graph.edges) {
    if (edge.source !== undefined || edge.sink?.state !== 'open') continue;
    const { address, node, far } = edge.peer;
    if (far && !takesFar(blob)) continue;
    if (address.port === 0 || state.graph.bans.banned(node, state.nowMs) || resting(state, blob, node)) continue;
    openSource(state, edge);
  }
}

/** Some neighbours of `blob` to tell `node` of. */
export function neighboursFor(state: State, blob: Blob, node: string): PeerAddress[] {
  const pool: PeerAddress[] = [];
  for (const { peer } of blob.graph.edges) {
    if (peer.node !== node && peer.address.port !== 0) pool.push(peer.address);
  }
  for (const address of blob.graph.openers.since(state.nowMs - openersMs)) {
    if (address.node !== node && blob.edgeOf(address.node) === undefined) pool.push(address);
  }
  return some(state, nearTo(state.graph.peers.get(node), pool));
}

/** Of its own zone, if any are. */
function nearTo(peer: Peer | undefined, pool: PeerAddress[]): PeerAddress[] {
  const zone = peer?.address.zone ?? '';
  if (zone === '') return pool;
  const near = pool.filter((address) => !isFar(zone, address.zone));
  return near.length > 0 ? near : pool;
}

function some(state: State, pool: PeerAddress[]): PeerAddress[] {
  const told: PeerAddress[] = [];
  while (told.length < peersToldMax && pool.length > 0) {
    const at = state.config.prng.below(pool.length);
    told.push(pool[at]!);
    pool[at] = pool[pool.length - 1]!;
    pool.pop();
  }
  return told;
}

/** Asks the host for candidates, less and less often while that does not help. */
function seek(state: State, blob: Blob): void {
  const ours = blob.graph as OurGraphBlob;
  if (state.nowMs < ours.seekAtMs) return;
  // Without metainfo edges help nobody.
  const lost = ours.edges.length === 0 || blob.stage === 'bare';
  const ceiling = lost ? seekMsMax / 8 : seekMsMax;
  ours.seekEveryMs = Math.min(ceiling, Math.max(seekMs, ours.seekEveryMs * 2));
  ours.seekAtMs = state.nowMs + state.jitter(ours.seekEveryMs);
  state.out.push({ kind: 'seek', blob: blob.no });
}

function cancelOpenings(state: State, blob: Blob): void {
  // Those beyond the degree may be the only ones to tell.
  if (blob.graph.starving.rounds > 0 || beyond(state, blob)) return;
  for (let i = blob.graph.edges.length - 1; i >= 0; i -= 1) {
    const edge = blob.graph.edges[i]!;
    if (edge.peer.far) continue;
    if (edge.state !== 'kept' && edge.source !== undefined && edge.source.token === 0)
      closeSource(state, edge.source, true);
  }
}

// ---- the regular look at everything -----------------------------------------------------------------

export function tend(state: State): void {
  if (state.graph.offers.length > 0) expireOffers(state);
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
  lookAbroad(state, blob);
  feedStarving(state, blob);
  connectMore(state, blob);
}

/** Nothing comes: the tracker may name others, and what they have may come. */
function lookAbroad(state: State, blob: Blob): void {
  if (!state.zoned || !watchAbroad(state, blob)) return;
  abroadChanges(state, blob);
  if (!looksAbroad(blob)) return;
  (blob.graph as OurGraphBlob).seekAtMs = 0;
  seek(state, blob);
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
