/** A blob's coming and going, its readers, and what the host says of it. */

import { assert } from '../assert.ts';
import { addCandidates } from './graph/candidates.ts';
import { closeSink, closeSource, partSource } from './graph/edges.ts';
import { readersPerBlobMax, revokedMax } from './limits.ts';
import { learnMeta, makeReady } from './pulling/learning.ts';
import { jumps } from './pulling/wishes.ts';
import { fromBytes, full } from './records/bits.ts';
import { Blob } from './records/blob.ts';
import type { State } from './records/state.ts';
import type { Input } from './types.ts';

export function addBlob(state: State, input: Extract<Input, { kind: 'blob' }>): void {
  const { meta, hashes, have } = input;
  assert(state.blobs[input.blob] === undefined, `blob number ${input.blob} is in use`);
  assert(!state.byDigest.has(input.digest), `blob ${input.digest} is here already`);
  const blob = new Blob(input.blob, input.digest, input.pull);
  state.blobs[blob.no] = blob;
  state.byDigest.set(blob.digest, blob);
  state.revoked.delete(blob.digest);
  if (meta !== undefined && hashes !== undefined) {
    blob.root(meta);
    if (have === 'all') blob.held = full(blob.pieces);
    else if (have !== undefined) blob.held = fromBytes(have, blob.pieces);
    makeReady(state, blob, hashes);
    if (blob.pull && blob.complete && have !== 'all') state.finished.add(blob);
  } else {
    assert(have === undefined, 'pieces of a blob without its hash list');
    if (meta !== undefined) assert(learnMeta(state, blob, meta), 'metainfo cannot be a blob');
  }
  if (!blob.pulling) return;
  state.pulling.add(blob);
  state.needy.add(blob);
  // Whoever we have a link with may well want or have it too, as with the layers of one image.
  for (const peer of state.peers.values())
    if (peer.in !== undefined || peer.out !== undefined) addCandidates(state, blob, [peer.address]);
}

export function candidates(state: State, blob: Blob, input: Extract<Input, { kind: 'candidates' }>): void {
  addCandidates(state, blob, input.peers);
  const { meta } = input;
  if (meta !== undefined && blob.stage === 'bare') learnMeta(state, blob, meta);
  state.needy.add(blob);
}

/** Every piece is held: nothing is pulled any more, only fed. */
export function finish(state: State, blob: Blob): void {
  state.pulling.delete(blob);
  if (state.widest === blob) state.widest = undefined;
  state.out.push({ kind: 'complete', blob: blob.no });
  blob.candidates = [];
  for (let i = blob.edges.length - 1; i >= 0; i -= 1) {
    const source = blob.edges[i]?.source;
    if (source !== undefined) partSource(state, source);
  }
}

/** The blob leaves; openers that come later hear `reason` where it is revoked. */
export function removeBlob(state: State, blob: Blob, reason: 'leaving' | 'revoked'): void {
  blob.stage = 'gone';
  state.pulling.delete(blob);
  if (state.widest === blob) state.widest = undefined;
  state.byDigest.delete(blob.digest);
  state.blobs[blob.no] = undefined;
  const tells = reason === 'revoked' && state.config.self.role === 'origin';
  while (blob.sinks.length > 0) {
    const sink = blob.sinks[blob.sinks.length - 1]!;
    if (tells) state.send(sink.link, { kind: 'revoke', swarm: sink.swarm });
    closeSink(state, sink, reason);
  }
  for (let i = blob.edges.length - 1; i >= 0; i -= 1) {
    const source = blob.edges[i]?.source;
    if (source !== undefined) closeSource(state, source, true);
  }
  blob.candidates = [];
  if (reason !== 'revoked') return;
  state.revoked.add(blob.digest);
  if (state.revoked.size > revokedMax) state.revoked.delete(state.revoked.keys().next().value!);
}

export function moveReader(state: State, blob: Blob, input: Extract<Input, { kind: 'reader' }>): void {
  const known = blob.readers.find((r) => r.reader === input.reader);
  if (known !== undefined) {
    known.far ||= jumps(blob, known.at, input.at);
    known.at = input.at;
    known.end = input.end;
  } else if (blob.readers.length < readersPerBlobMax) {
    blob.readers.push({ reader: input.reader, at: input.at, end: input.end, far: input.at > 0 });
  }
  readersMoved(state, blob);
}

export function removeReader(state: State, blob: Blob, reader: number): void {
  const at = blob.readers.findIndex((r) => r.reader === reader);
  if (at >= 0) blob.readers.splice(at, 1);
  readersMoved(state, blob);
}

function readersMoved(state: State, blob: Blob): void {
  blob.astray = blob.readers.some(({ far }) => far);
  blob.wishing ||= blob.astray;
  if (blob.wishing) state.wishesMayChange(blob, true);
}
