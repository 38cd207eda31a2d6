/** The puller's side of a swarm's opening and upkeep: the answer to Open, refusals, edge offers, haves. */

import { PeerFault } from '../../assert.ts';
import { sameMetainfo } from '../../piece.ts';
import type { EdgeOffer, Gone, Haves, Opened, Refuse } from '../../wire/messages.ts';
import { degreeSlack, offerMs } from '../limits.ts';
import { addHaves, holdsAll, lacks, wanted } from '../pulling/interest.ts';
import { fromBytes } from '../records/bits.ts';
import type { Source } from '../records/links.ts';
import type { State } from '../records/state.ts';
import { addCandidates, dropCandidate, praiseCandidate } from './candidates.ts';
import { closeSource, edgeTo, openedSource, openSource, peerAt, sendOpen } from './edges.ts';
import { degree } from './graph.ts';

export function onOpened(state: State, source: Source, message: Opened): void {
  if (source.state === 'closed') return;
  if (source.state !== 'opening') throw new PeerFault('opened what was not asked to be');
  const { blob, edge } = source;
  if (message.growing) {
    // Its length and root are not final: nothing can be checked against them yet.
    return closeSource(state, source, true);
  }
  if (!sameMetainfo(blob.meta, message.meta)) throw new PeerFault('metainfo differs from the tracker');
  if (!message.all && message.have.length !== (blob.pieces + 7) >>> 3)
    throw new PeerFault('bit set of the wrong length');
  source.all = message.all;
  // Only a feeder that has it whole when it answers sends it unasked; its later grants are grants.
  if (!message.all) source.gift = false;
  source.bits = message.all ? undefined : fromBytes(message.have, blob.pieces);
  praiseCandidate(blob, edge.peer.node);
  const first = blob.stage === 'rooted' && blob.sources.length === 0;
  openedSource(state, source);
  if (
    !first &&
    source.token === 0 &&
    edge.sink === undefined &&
    degree(blob) > state.config.policy.neighboursPerBlobMax &&
    !(blob.hunger.rounds > 0 && wanted(source) > 0)
  ) {
    // Others were faster: we have our degree without this one. To who starves, only what it lacks is worth more.
    return closeSource(state, source, true);
  }
  if (blob.stage === 'rooted' && blob.lead !== source && blob.lead?.state !== 'open') {
    blob.lead = source;
    blob.hashesAt = 0;
    blob.hashesAskedMs = state.nowMs;
    state.send(source.link, { kind: 'wantHashes', swarm: source.swarm, from: 0 });
  }
  const { via } = source;
  source.via = undefined;
  if (via !== undefined && via.state === 'offered') sendOpen(state, via);
  state.needy.add(blob);
}

export function onRefuse(state: State, source: Source, message: Refuse): void {
  if (source.state === 'closed') return;
  const { blob, edge, via } = source;
  addCandidates(state, blob, message.peers);
  closeSource(state, source, false);
  if (message.reason === 'unknown' || message.reason === 'leaving') dropCandidate(blob, edge.peer.node);
  if (via !== undefined && via.state === 'offered') closeSource(state, via, true);
  if (message.reason === 'revoked' && edge.peer.address.role === 'origin') state.disowned.add(blob);
}

/** The feeder is full; `peer` would take us in its place, and then the feeder takes us as well. */
export function onEdgeOffer(state: State, source: Source, message: EdgeOffer): void {
  if (source.state === 'closed') return;
  if (source.state !== 'opening' || message.token === 0) throw new PeerFault('edge offer out of turn');
  const { blob } = source;
  const { peer, token } = message;
  // Who starved for long takes even this way in.
  const slack = blob.hunger.rounds > 1 ? degreeSlack : 0;
  const room = state.config.policy.neighboursPerBlobMax + slack - degree(blob) >= 2;
  const usable =
    peer.node !== state.config.self.node &&
    peer.port !== 0 &&
    blob.edgeOf(peer.node) === undefined &&
    !state.bans.banned(peer.node, state.nowMs);
  if (!room || !usable) return closeSource(state, source, false);
  source.state = 'offered';
  source.token = token;
  source.sinceMs = state.nowMs;
  if (blob.lead === source) blob.lead = undefined;
  openSource(state, edgeTo(state, blob, peerAt(state, peer)), token, source);
  state.graphAtMs = Math.min(state.graphAtMs, state.nowMs + offerMs);
}

export function onHaves(state: State, source: Source, message: Haves): void {
  if (source.state !== 'open' && source.state !== 'parting') {
    if (source.state === 'closed') return;
    throw new PeerFault('haves before opened');
  }
  if (message.all) return holdsAll(state, source);
  const { pieces } = message;
  const bound = source.blob.pieces;
  for (let i = 0; i < pieces.length; i += 1) {
    if (pieces[i]! >= bound || pieces[i]! < 0) throw new PeerFault('have of a piece beyond the blob');
  }
  addHaves(state, source, pieces);
}

/** The feeder has these no longer. */
export function onGone(state: State, source: Source, message: Gone): void {
  if (source.state !== 'open' && source.state !== 'parting') {
    if (source.state === 'closed') return;
    throw new PeerFault('gone before opened');
  }
  const { pieces } = message;
  const bound = source.blob.pieces;
  for (let i = 0; i < pieces.length; i += 1) {
    if (pieces[i]! >= bound || pieces[i]! < 0) throw new PeerFault('gone of a piece beyond the blob');
    lacks(state, source, pieces[i]!);
  }
}
