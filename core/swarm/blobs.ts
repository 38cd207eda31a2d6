/** A blob's coming and going, and what the host says of it. */

import { assert } from '../assert.ts';
import { loses } from './feeding/unsent.ts';
import { addCandidates, closeSink, closeSource, dropCandidates, leaveSource, openSource } from './graph/edges.ts';
import { revokedMax } from './limits.ts';
import type { OurState } from './ours.ts';
import { learnMeta, makeReady, rootBlob, stopLearning } from './pulling/learning.ts';
import { giveBack } from './pulling/wants.ts';
import { narrow } from './pulling/window.ts';
import { bits, fromBytes, full } from './records/bits.ts';
import { Blob } from './records/records.ts';
import type { State } from './records/state.ts';
import type { Input } from './types.ts';

export function addBlob(state: State, input: Extract<Input, { kind: 'blob' }>): void {
  const { meta, hashes, have } = input;
  const ours = state as OurState;
  assert(state.blobs[input.blob] === undefined, `blob number ${input.blob} is in use`);
  assert(!state.byDigest.has(input.digest), `blob ${input.digest} is here already`);
  const blob = new Blob(input.blob, input.digest, input.pull);
  ours.blobs[blob.no] = blob;
  ours.byDigest.set(blob.digest, blob);
  ours.revoked.delete(blob.digest);
  if (meta !== undefined && hashes !== undefined) {
    rootBlob(state, blob, meta, have === 'all' ? full : have === undefined ? bits : (count) => fromBytes(have, count));
    makeReady(state, blob, meta, hashes);
    if (blob.pull && blob.complete && have !== 'all') state.due.mark('finished', blob);
  } else {
    assert(have === undefined, 'pieces of a blob without its hash list');
    if (meta !== undefined) assert(learnMeta(state, blob, meta), 'metainfo cannot be a blob');
  }
  if (!blob.unfinished) return;
  ours.unfinished.add(blob);
  state.due.mark('connect', blob);
  // Whoever we have a link with may well want or have it too, as with the layers of one image.
  for (const peer of state.graph.peers.values())
    if (!peer.far && (peer.in !== undefined || peer.out !== undefined)) addCandidates(state, blob, [peer.address]);
}

export function candidates(state: State, blob: Blob, input: Extract<Input, { kind: 'candidates' }>): void {
  addCandidates(state, blob, input.peers);
  const { meta } = input;
  if (meta !== undefined && (blob.stage === 'bare' || blob.stage === 'growing')) learnMeta(state, blob, meta);
  state.due.mark('connect', blob);
}

/** The piece cannot be read any more: it is lacking again, and fetched again where we pull. */
export function lost(state: State, blob: Blob, piece: number): void {
  if (!blob.holds(piece)) return;
  loses(blob, piece);
  if (!blob.pull) return;
  (state as OurState).unfinished.add(blob);
  state.due.mark('connect', blob);
  giveBack(state, blob, piece);
  // Neighbours that know we had it do not tell us of it again: asked anew they say all that they hold.
  for (const edge of [...blob.graph.edges]) {
    const { source } = edge;
    if (source === undefined || source.state !== 'open' || source.holds(piece)) continue;
    closeSource(state, source, true);
    if (edge.sink !== undefined) openSource(state, edge);
  }
}

/** Every piece is held: nothing is pulled any more, only fed. */
export function finish(state: State, blob: Blob): void {
  stopPulling(state, blob);
  state.out.push({ kind: 'complete', blob: blob.no });
  const { edges } = blob.graph;
  for (let i = edges.length - 1; i >= 0; i -= 1) {
    const source = edges[i]?.source;
    if (source !== undefined) leaveSource(state, source);
  }
}

/** Origins took them back. */
export function disown(state: State): void {
  for (const blob of state.due.disowned) {
    // Anybody may say to be an origin: what we hold for the cluster goes by nobody's word but that of our own digest.
    if (state.config.self.role === 'origin' && blob.stage !== 'growing') continue;
    if (blob.stage === 'gone') continue;
    state.out.push({ kind: 'revoked', blob: blob.no });
    removeBlob(state, blob, 'revoked');
  }
  state.due.disowned.clear();
}

/** What was told of them contradicts itself. */
export function giveUpOdds(state: State): void {
  for (const blob of state.due.odds) {
    if (blob.stage === 'gone') continue;
    state.out.push({ kind: 'odds', blob: blob.no });
    removeBlob(state, blob, 'leaving');
  }
  state.due.odds.clear();
}

/** The blob leaves; openers that come later hear `reason` where it is revoked. */
export function removeBlob(state: State, blob: Blob, reason: 'leaving' | 'revoked'): void {
  const ours = state as OurState;
  blob.leave();
  stopLearning(blob);
  ours.byDigest.delete(blob.digest);
  ours.blobs[blob.no] = undefined;
  const tells = reason === 'revoked' && state.config.self.role === 'origin';
  const { sinks } = blob.feeding;
  while (sinks.length > 0) {
    const sink = sinks[sinks.length - 1]!;
    if (tells) state.send(sink.link, { kind: 'revoke', swarm: sink.swarm });
    closeSink(state, sink, reason);
  }
  const { edges } = blob.graph;
  for (let i = edges.length - 1; i >= 0; i -= 1) {
    const source = edges[i]?.source;
    if (source !== undefined) closeSource(state, source, true);
  }
  stopPulling(state, blob);
  if (reason !== 'revoked') return;
  ours.revoked.add(blob.digest);
  if (ours.revoked.size > revokedMax) ours.revoked.delete(ours.revoked.keys().next().value!);
}

function stopPulling(state: State, blob: Blob): void {
  (state as OurState).unfinished.delete(blob);
  narrow(state, blob);
  dropCandidates(blob);
}
