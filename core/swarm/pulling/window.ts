/**
 * The downlink window. A grant that comes while our downlink is full is passed, and its feeder rests: with
 * sixteen neighbours that would all ask again every now and then, most grants of a busy swarm would
 * be passed. So we say when there is room, to one of those that we passed, the one that waits longest
 * first.
 *
 * Rule 1: a link waits at most once, and leaves the queue when it is told or gone.
 * Rule 2: room that somebody was told of is kept for it until its next grant, or for promiseMs.
 */

import { promiseMs } from '../limits.ts';
import { takeOut } from '../records/parts.ts';
import type { Blob, OutLink, Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { OurDownlink, OurFeeder } from './ours.ts';
import { mayTry, wanted } from './trust.ts';
import { othersThan, tellWants } from './wants.ts';

/**
 * Whether there is room for a piece from `source`, beside what is on its way or unverified; if not, its feeder waits.
 * `first`: nobody else may have it, so that only memory stands in its way.
 */
export function admits(state: State, { link, blob }: Source, first: boolean): boolean {
  const window = windowOf(state, blob);
  if (fits(state, blob, 1, first ? state.config.windowBytes : window) && mayTry(state, link, blob, window)) return true;
  if (link.feeder.place.kind !== 'waits') {
    (link.feeder as OurFeeder).place = { kind: 'waits' };
    (state.down as OurDownlink).waiting.push(link);
  }
  return false;
}

function fits({ down }: State, blob: Blob, pieces: number, windowBytes: number): boolean {
  // What stands still takes nothing of the downlink; should it move after all, its link waits for memory.
  const taken = down.inBytes - down.standingBytes + down.uncheckedBytes;
  return taken === 0 || taken + pieces * blob.meta.pieceLength <= windowBytes;
}

/**
 * All blobs share the widest one's window: a narrower one of its own would let a blob in only when the
 * others left room below it, which those never do (seen at 260 hosts: 80 pieces of one layer, 1,280 of the other).
 */
function windowOf(state: State, blob: Blob): number {
  const { widest } = state.down;
  const own = ownWindow(state, blob);
  return Math.min(state.config.windowBytes, widest?.unfinished ? Math.max(own, ownWindow(state, widest)) : own);
}

/**
 * Narrow at the start: what one downlink takes at a time, its feeders send all at once and each
 * slowly, and until pieces have spread everybody waits for the first whole ones. Wide later, so
 * that no uplink has to wait for room (150 hosts, 3 GB: 1.01 x the bound, not 1.02).
 */
function ownWindow({ config: { policy } }: State, blob: Blob): number {
  const starts = blob.heldCount * policy.windowStartShare < blob.pieces;
  const pieces = starts ? policy.windowPiecesStart : policy.windowPieces;
  return Math.max(policy.windowBytes, pieces * blob.meta.pieceLength);
}

/** A piece of `blob` is held now: its window may be the widest. */
export function widen(state: State, blob: Blob): void {
  const { widest } = state.down;
  if (widest === blob) return;
  if (!widest?.unfinished || ownWindow(state, blob) > ownWindow(state, widest))
    (state.down as OurDownlink).widest = blob;
}

/** Nothing more comes of `blob`. */
export function narrow(state: State, blob: Blob): void {
  if (state.down.widest === blob) (state.down as OurDownlink).widest = undefined;
}

/** A grant came on `link`: if room was kept for it, this is what it was kept for. */
export function redeemPromise(state: State, link: OutLink): void {
  if (link.feeder.place.kind !== 'promised') return;
  (link.feeder as OurFeeder).place = { kind: 'none' };
  takeOut((state.down as OurDownlink).promised, link);
}

/** The link is gone. */
export function losePlace(state: State, link: OutLink): void {
  if (link.feeder.place.kind === 'waits') takeOut((state.down as OurDownlink).waiting, link);
  redeemPromise(state, link);
}

/** Tells the next one, if there is room for a piece of what it has. */
export function tellRoom(state: State): void {
  state.due.room = false;
  const { waiting: queue, promised } = state.down as OurDownlink;
  if (queue.length === 0) return;
  while (promised.length > 0 && !isKept(state, promised[0]!)) redeemPromise(state, promised[0]!);
  const wait: OutLink[] = [];
  let looked = 0;
  while (looked < queue.length) {
    const link = queue[looked]!;
    const blob = blobFrom(link);
    const window = blob === undefined ? 0 : windowOf(state, blob);
    if (blob !== undefined && !fits(state, blob, 1 + promised.length, window)) break;
    looked += 1;
    if (blob !== undefined && !mayTry(state, link, blob, window)) {
      wait.push(link);
      continue;
    }
    // Who has nothing for us any more hears of us when it has.
    (link.feeder as OurFeeder).place =
      blob === undefined ? { kind: 'none' } : { kind: 'promised', sinceMs: state.nowMs };
    if (blob === undefined) continue;
    promised.push(link);
    tellWants(state, link);
    break;
  }
  queue.splice(0, looked, ...wait);
}

function isKept(state: State, { feeder: { place } }: OutLink): boolean {
  return place.kind === 'promised' && place.sinceMs + promiseMs > state.nowMs;
}

/**
 * An origin leaves us to others that send us something. When those are gone, or stand still, it hears so at once: it
 * would wait for half a second otherwise, and nothing would come.
 */
export function tellOrigins(state: State): void {
  state.due.loss = false;
  const enough = state.config.policy.originSparePieces;
  for (const link of state.graph.links.values()) {
    if (link.kind !== 'out' || link.state !== 'active' || link.peer.address.role !== 'origin') continue;
    if (link.feeder.toldOthers < enough || blobFrom(link) === undefined) continue;
    if (othersThan(state, link) < enough) tellWants(state, link);
  }
}

/** Of what we want on `link`, the blob of the shortest pieces; undefined where it has nothing that we want. */
function blobFrom(link: OutLink): Blob | undefined {
  let found: Blob | undefined;
  for (const source of link.sources) {
    const { blob } = source;
    if ((found === undefined || blob.meta.pieceLength < found.meta.pieceLength) && wanted(source) > 0) found = blob;
  }
  return found;
}
