/**
 * Edge offers: how a newcomer gets into a full neighbourhood without anybody's degree growing.
 *
 * p is full and n asks. p reserves at its neighbour q (EdgeReserve) and offers n the edge p-q
 * (EdgeOffer). n opens at q, which accepts even though it is full and says so to p (EdgeTaken), then
 * opens at p with the same token. When p has heard both it answers q with EdgeTaken, and p and q
 * part after their pieces in flight. What has not come about in offerMs is forgotten: p-q stays.
 */

import { degreeSlack, offerMs, offersMax } from '../limits.ts';
import type { Blob, Edge, Greeted } from '../records/records.ts';
import type { Offer, State } from '../records/state.ts';
import { leaveEdge, nearEdges } from './edges.ts';
import type { OurGraph, OurOffer } from './ours.ts';

const tokenBound = 0x7fff_ffff;

/** Offers the newcomer on `link` one of our edges of `blob`. False where there is none to offer. */
export function offerEdge(state: State, blob: Blob, link: Greeted, swarm: number): boolean {
  const newcomer = link.peer.node;
  if (state.graph.offers.length >= offersMax || link.peer.far) return false;
  if (nearEdges(blob) >= state.config.policy.neighboursPerBlobMax + degreeSlack) return false;
  const free = blob.graph.edges.filter((edge) => offerable(state, edge));
  if (free.length === 0) return false;
  const edge = free[state.config.prng.below(free.length)]!;
  const token = 1 + state.config.prng.below(tokenBound);
  const untilMs = state.nowMs + offerMs;
  const offer: Offer = { side: 'given', token, blob, edge, newcomer, untilMs, here: false, there: false };
  (state.graph as OurGraph).offers.push(offer);
  reserve(state, offer);
  state.send(link, { kind: 'edgeOffer', swarm, peer: edge.peer.address, token });
  return true;
}

/** p asks us to take `newcomer` in place of the edge to p. */
export function reserveEdge(state: State, edge: Edge, token: number, newcomer: string): void {
  if (state.graph.offers.length >= offersMax || newcomer === state.config.self.node) return;
  const { blob } = edge;
  const untilMs = state.nowMs + offerMs;
  (state.graph as OurGraph).offers.push({
    side: 'reserved',
    token,
    blob,
    edge,
    newcomer,
    untilMs,
    here: false,
    there: false,
  });
}

/** Whether `node` may open `blob` with this token; it may once. */
export function redeemToken(state: State, blob: Blob, node: string, token: number): Offer | undefined {
  if (token === 0) return undefined;
  const offer: OurOffer | undefined = state.graph.offers.find(
    (o) => o.token === token && o.blob === blob && o.newcomer === node && !o.here,
  );
  if (offer !== undefined) offer.here = true;
  return offer;
}

/** The newcomer of `offer` has opened here: tells the other end, and parts where both have it. */
export function settle(state: State, offer: Offer): void {
  if (offer.side === 'reserved') taken(state, offer);
  else if (offer.there) part(state, offer);
}

/** EdgeTaken came from the other end of `edge`. */
export function edgeTaken(state: State, edge: Edge, token: number): void {
  const offer: OurOffer | undefined = state.graph.offers.find((o) => o.token === token && o.edge === edge);
  if (offer === undefined) return;
  offer.there = true;
  if (offer.side === 'reserved') {
    if (offer.here) partEdge(state, offer);
  } else if (offer.here) {
    part(state, offer);
  }
}

/** Forgets what has not come about, and what concerned an edge that is gone. */
export function expireOffers(state: State): void {
  const ours = state.graph as OurGraph;
  ours.offers = ours.offers.filter(({ untilMs, edge }) => untilMs > state.nowMs && edge.state !== 'gone');
}

function offerable(state: State, edge: Edge): boolean {
  if (edge.peer.far || edge.peer.address.role === 'origin' || edge.peer.address.port === 0) return false;
  if (edge.sink?.state !== 'open' && edge.source?.state !== 'open') return false;
  return !state.graph.offers.some((o) => o.edge === edge);
}

/** p's end: says so to q, and parts. */
function part(state: State, offer: Offer): void {
  taken(state, offer);
  partEdge(state, offer);
}

function partEdge(state: State, offer: Offer): void {
  const { offers } = state.graph as OurGraph;
  offers.splice(offers.indexOf(offer), 1);
  leaveEdge(state, offer.edge);
}

/** On whichever link of the edge there is: both ends know its swarm number. */
function reserve(state: State, { edge, token, newcomer }: Offer): void {
  const end = edge.sink ?? edge.source;
  if (end !== undefined) state.send(end.link, { kind: 'edgeReserve', swarm: end.swarm, token, node: newcomer });
}

function taken(state: State, { edge, token }: Offer): void {
  const end = edge.sink ?? edge.source;
  if (end !== undefined) state.send(end.link, { kind: 'edgeTaken', swarm: end.swarm, token });
}
