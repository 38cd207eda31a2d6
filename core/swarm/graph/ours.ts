/** What this room writes, and nobody else (records/ours.ts). */

import type { Ours } from '../records/ours.ts';
import type { Candidate, Starving } from '../records/parts.ts';
import type { Blob, Edge, InLink, OutLink, Peer } from '../records/records.ts';
import type { Offer, State } from '../records/state.ts';

export type OurGraph = Ours<State['graph']>;
export type OurGraphBlob = Ours<Blob['graph']>;
export type OurPeer = Ours<Peer>;
export type OurEdge = Ours<Edge>;
export type OurOutLink = Ours<Omit<OutLink, 'sources'>>;
export type OurInLink = Ours<Omit<InLink, 'sinks'>>;
export type OurGraphLink = OurOutLink | OurInLink;
export type OurOffer = Ours<Offer>;
export type OurCandidate = Ours<Candidate>;
export type OurStarving = Ours<Starving>;
