/**
 * Downlink room. A grant that comes while our downlink is full is passed, and its feeder rests: with
 * sixteen neighbours that would all ask again every now and then, most grants of a busy swarm would
 * be passed. So we say when there is room, to one of those that we passed, the one that waits longest
 * first.
 *
 * Rule 1: a link waits at most once, and leaves the queue when it is told or gone.
 * Rule 2: room that somebody was told of is kept for it until its next grant, or for promiseMs.
 * Rule 3: peers that have not sent a piece yet hold half of the window at most, all together, once anybody has: what
 *   they owe may never come (twenty-five hostile ones filled the window, and for 0.4 s nothing came at all).
 */

import { promiseMs } from '../limits.ts';
import type { Blob } from '../records/blob.ts';
import { type OutLink, type Source, takeOut } from '../records/links.ts';
import type { State } from '../records/state.ts';
import { wanted } from './interest.ts';

/**
 * Whether `count` more pieces of `blob` fit in the window beside what is on its way or unverified.
 * `named`: nobody else may have it, so that only memory stands in its way.
 */
export function hasRoom(state: State, blob: Blob, count: number, named = false): boolean {
  const { windowBytes } = state.config;
  // What stands still takes nothing of the downlink; should it move after all, its link waits for memory.
  const taken = state.inBytes - state.standingBytes + state.uncheckedBytes;
  const window = named ? windowBytes : Math.min(windowBytes, sharedWindow(state, blob));
  return taken === 0 || taken + count * blob.meta.pieceLength <= window;
}

/** Whether a piece of `blob` from `link` is within rule 3. */
export function mayTry(state: State, link: OutLink, blob: Blob): boolean {
  if (link.arrived > 0) return true;
  const owed = owedByUntried(state, blob);
  if (owed === 0 || link.letDown) return owed === 0;
  const window = Math.min(state.config.windowBytes, sharedWindow(state, blob));
  return owed + blob.meta.pieceLength <= window / 2;
}

/** Bytes on their way from those who have not sent a piece yet, and do not stand; 0 where nobody else serves `blob`. */
function owedByUntried({ links }: State, blob: Blob): number {
  let owed = 0;
  let served = false;
  for (const link of links.values()) {
    if (link.kind !== 'out') continue;
    if (link.arrived > 0) {
      served ||= link.sources.some((source) => source.blob === blob && serves(source));
    } else {
      for (const { flights } of link.sources) for (const { bytes } of flights) owed += bytes;
      owed -= link.standingBytes;
    }
  }
  return served ? owed : 0;
}

function serves(source: Source): boolean {
  return source.state === 'open' && (source.flights.length > 0 || wanted(source) > 0);
}

/**
 * Narrow at the start: what one downlink takes at a time, its feeders send all at once and each
 * slowly, and until pieces have spread everybody waits for the first whole ones. Wide later, so
 * that no uplink has to wait for room (150 hosts, 3 GB: 1.01 x the bound, not 1.02).
 */
function windowOf({ config: { policy } }: State, blob: Blob): number {
  const starts = blob.heldCount * policy.windowStartShare < blob.pieces;
  const pieces = starts ? policy.windowPiecesStart : policy.windowPieces;
  return Math.max(policy.windowBytes, pieces * blob.meta.pieceLength);
}

/**
 * All blobs share the widest one's window: a narrower one of its own would let a blob in only when the
 * others left room below it, which those never do (seen at 260 hosts: 80 pieces of one layer, 1,280 of the other).
 */
function sharedWindow(state: State, blob: Blob): number {
  const { widest } = state;
  const own = windowOf(state, blob);
  return widest?.pulling ? Math.max(own, windowOf(state, widest)) : own;
}

/** A piece of `blob` is held now: its window may be the widest. */
export function widen(state: State, blob: Blob): void {
  const { widest } = state;
  if (!widest?.pulling || windowOf(state, blob) > windowOf(state, widest)) state.widest = blob;
}

/** The feeder on `link` heard that our downlink is full. */
export function turnedAway(state: State, link: OutLink): void {
  if (link.turnedAway) return;
  link.turnedAway = true;
  state.turnedAway.push(link);
}

/** A grant came on `link`: if room was kept for it, this is what it was kept for. */
export function redeemed(state: State, link: OutLink): void {
  if (link.promisedMs < 0) return;
  link.promisedMs = -1;
  takeOut(state.promised, link);
}

/** The link is gone. */
export function noLongerAway(state: State, link: OutLink): void {
  if (link.turnedAway) takeOut(state.turnedAway, link);
  redeemed(state, link);
}

/** Tells the next one, if there is room for a piece of what it has. */
export function tellRoom(state: State): void {
  state.roomDue = false;
  const { turnedAway: queue, promised } = state;
  if (queue.length === 0) return;
  while (promised.length > 0 && promised[0]!.promisedMs + promiseMs <= state.nowMs) redeemed(state, promised[0]!);
  const wait: OutLink[] = [];
  let looked = 0;
  while (looked < queue.length) {
    const link = queue[looked]!;
    const blob = blobFrom(link);
    if (blob !== undefined && !hasRoom(state, blob, 1 + promised.length)) break;
    looked += 1;
    if (blob !== undefined && !mayTry(state, link, blob)) {
      wait.push(link);
      continue;
    }
    link.turnedAway = false;
    // Who has nothing for us any more hears of us when it has.
    if (blob === undefined) continue;
    link.promisedMs = state.nowMs;
    promised.push(link);
    tell(state, link);
    break;
  }
  queue.splice(0, looked, ...wait);
}

/**
 * An origin leaves us to others that send us something. When those are gone, or stand still, it hears so at once: it
 * would wait for half a second otherwise, and nothing would come.
 */
export function tellOrigins(state: State): void {
  state.lossDue = false;
  const enough = state.config.policy.originSparePieces;
  for (const link of state.links.values()) {
    if (link.kind !== 'out' || link.state !== 'active' || link.peer.address.role !== 'origin') continue;
    if (link.toldOthers < enough || blobFrom(link) === undefined) continue;
    if (state.othersThan(link) < enough) tell(state, link);
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

function tell(state: State, link: OutLink): void {
  const swarms: { swarm: number; count: number }[] = [];
  for (const source of link.sources) {
    const count = wanted(source);
    if (count === source.told) continue;
    source.told = count;
    swarms.push({ swarm: source.swarm, count });
  }
  state.send(link, { kind: 'wants', swarms, ...state.inbound(link) });
}
