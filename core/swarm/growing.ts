/**
 * What the host says of a blob that grows. An agent says what a tracker told: neighbours have the rest. Whoever receives
 * the blob says what it has: the list as far as it goes, the pieces that it stored, at last that all of it is right.
 */

import { assert } from '../assert.ts';
import { growthValid, hashBytes } from '../piece.ts';
import { answerPending } from './feeding/feeder.ts';
import { announce } from './feeding/haves.ts';
import { markUnsent } from './feeding/unsent.ts';
import { beginGrowing, learnGrowth, makeKnown, makeReady, sameSize } from './pulling/learning.ts';
import { cancel } from './pulling/scope.ts';
import { take } from './pulling/wants.ts';
import { has } from './records/bits.ts';
import type { Blob } from './records/records.ts';
import type { State } from './records/state.ts';
import type { Input } from './types.ts';

export function grown(state: State, blob: Blob, input: Extract<Input, { kind: 'grown' }>): void {
  const { growth, hashes, gained = [] } = input;
  if (hashes === undefined) learnGrowth(state, blob, growth);
  else {
    assert(growthValid(growth) && hashes.length === growth.known * hashBytes, 'more is said to be known than is');
    if (blob.stage === 'bare') beginGrowing(state, blob, growth);
    assert(blob.stage !== 'bare' && sameSize(blob, growth), 'receives a blob that is known to be another');
    // A neighbour that has all of it may have told the whole list before.
    if (growth.known > blob.known) makeKnown(state, blob, growth, hashes);
    for (const piece of gained) gain(state, blob, piece);
  }
  if (blob.unfinished) state.due.mark('connect', blob);
}

export function settled(state: State, blob: Blob, input: Extract<Input, { kind: 'settled' }>): void {
  const grows = blob.stage === 'growing' || blob.stage === 'rooted';
  assert(grows && sameSize(blob, input.meta), 'settles what did not grow');
  makeReady(state, blob, input.meta, input.hashes);
  for (let piece = 0; piece < blob.pieces; piece += 1) gain(state, blob, piece);
  answerPending(state, blob);
  if (blob.pull && blob.complete) state.due.mark('finished', blob);
}

/** The piece is here, and did not come by the swarm. */
function gain(state: State, blob: Blob, piece: number): void {
  assert(piece < blob.known, 'holds a piece before its hash');
  if (has(blob.held, piece)) return;
  const wasOpen = has(blob.pulling.open, piece);
  if (wasOpen) take(state, blob, piece);
  blob.gain(piece);
  // On its way or with the verifier: what comes all the same is thrown away.
  if (blob.pull && !wasOpen) cancel(state, blob, piece);
  if (blob.pulling.holders[piece] === 0) markUnsent(blob, piece);
  announce(state, blob, piece);
}
