/**
 * A blob that there is no room for as a whole: only what is in scope is fetched, and what is no longer in scope is
 * given up. The host keeps room for every piece that is in its scope.
 *
 * Neighbours hear what is gone in batches, as they hear what is here; those who do not understand that, and those who ask
 * before they hear, get `missing` (docs/protocol.md, section 6).
 *
 * Rule 1: a piece is open only if it is in scope (wants.ts); one that comes all the same is the host's to refuse.
 * Rule 2: a named piece that is not in scope is passed with `nothing`, and not with `held`: nobody has it yet. Where
 *   nobody else sends us anything the feeder lets us choose then. One of an older version names on; after a few times it
 *   hears `held`, for it would name the same pieces for ever.
 */

import { withdraw } from '../feeding/haves.ts';
import { loses } from '../feeding/unsent.ts';
import { misfitsMax } from '../limits.ts';
import { add, bits, firstFrom, has, remove } from '../records/bits.ts';
import type { Blob, Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { Input } from '../types.ts';
import { giveUp, isOver } from './flights.ts';
import type { OurPullingBlob, OurSource } from './ours.ts';
import { wanted } from './trust.ts';
import { giveBack, take } from './wants.ts';

export function rescope(state: State, blob: Blob, input: Extract<Input, { kind: 'scope' }>): void {
  if (!blob.pull || !blob.usable) return;
  if (blob.pulling.scope === undefined) begin(state, blob, input.add);
  for (const piece of input.drop) forgo(state, blob, piece);
  for (const piece of input.add) want(state, blob, piece);
  if (input.ends === true) end(state, blob);
}

/** Where there is a scope: whether the piece that `source` names is one that is not in it. */
export function misfits(state: State, source: Source, piece: number): boolean {
  const { blob } = source;
  const ours = source as OurSource;
  if (blob.inScope(piece) || has(blob.held, piece)) {
    ours.misfits = 0;
    return false;
  }
  // With something on its way we only have to wait until our readers have come further.
  if (state.down.inPieces === 0 && wanted(source) > 0) ours.misfits += 1;
  return ours.misfits <= misfitsMax;
}

/** Until now everything was fetched. */
function begin(state: State, blob: Blob, first: readonly number[]): void {
  const keeps = new Set(first);
  const ours = blob.pulling as OurPullingBlob;
  ours.scope = bits(blob.pieces);
  for (let piece = firstFrom(ours.open, 0); piece >= 0; piece = firstFrom(ours.open, piece + 1)) {
    if (!keeps.has(piece)) take(state, blob, piece);
  }
  state.due.finished.delete(blob);
}

/** From now on everything is fetched, and the blob is complete as any other. */
function end(state: State, blob: Blob): void {
  (blob.pulling as OurPullingBlob).scope = undefined;
  for (let piece = 0; piece < blob.known; piece += 1) {
    if (!blob.holds(piece) && !underWay(state, blob, piece)) giveBack(state, blob, piece);
  }
  if (blob.complete) state.due.mark('finished', blob);
}

function want(state: State, blob: Blob, piece: number): void {
  const { scope } = blob.pulling as OurPullingBlob;
  if (scope === undefined || piece < 0 || piece >= blob.pieces || has(scope, piece)) return;
  add(scope, piece);
  if (!underWay(state, blob, piece)) giveBack(state, blob, piece);
}

function forgo(state: State, blob: Blob, piece: number): void {
  const { scope, open } = blob.pulling as OurPullingBlob;
  if (scope !== undefined) remove(scope, piece);
  if (blob.holds(piece)) {
    loses(blob, piece);
    withdraw(state, blob, piece);
  } else if (has(open, piece)) take(state, blob, piece);
  else cancel(state, blob, piece);
}

/** On its way: whoever sends it need not any more. What comes all the same is thrown away. */
export function cancel(state: State, { pulling: { sources } }: Blob, piece: number): void {
  for (const { flights } of sources) {
    for (const flight of flights) if (flight.piece === piece && !isOver(flight)) giveUp(state, flight);
  }
}

/** With the verifier, or on its way, since before anything was in scope. */
function underWay(state: State, blob: Blob, piece: number): boolean {
  if (state.down.checks.some((check) => check.blob === blob && check.piece === piece)) return true;
  for (const { flights } of blob.pulling.sources) {
    for (const flight of flights) if (flight.piece === piece && !isOver(flight)) return true;
  }
  return false;
}
