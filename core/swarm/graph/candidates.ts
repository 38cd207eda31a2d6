/**
 * Peers that a blob could be pulled from: from the tracker, from refusals, from neighbours. A bounded
 * list per blob; who failed rests, longer each time, and is dropped when it keeps failing.
 */

import type { PeerAddress } from '../../wire/messages.ts';
import { candidateFailuresMax, candidateRestMs, candidatesPerBlobMax, degreeSlack } from '../limits.ts';
import type { Blob } from '../records/records.ts';
import type { Candidate } from '../records/seeking.ts';
import type { State } from '../records/state.ts';
import type { OurCandidate, OurGraphBlob } from './ours.ts';

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
export type Choice = { readonly role?: PeerAddress['role']; readonly urgent?: boolean };

/** One to connect to next: a peer that we have a link with where there is one, else any. */
export function pickCandidate(
  state: State,
  blob: Blob,
  { role, urgent = false }: Choice = {},
): PeerAddress | undefined {
  const roomForPeers = hasRoom(state, urgent);
  let pick: PeerAddress | undefined;
  let linked = false;
  let ties = 0;
  for (const { address, notBeforeMs } of blob.graph.candidates) {
    if (role !== undefined && address.role !== role) continue;
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
