/**
 * What is thought of a feeder, and every conclusion that is drawn from it: how much may be asked of it, for how long its
 * pieces are waited for, whom it may keep waiting, when it is given up. `Opinion` (records/parts.ts) is the whole of it.
 *
 * Rule 1: what an untried feeder says costs it nothing, so only what it has sent counts for anything.
 * Rule 2: peers that have not sent a piece yet hold half of the window at most, all together, once anybody has: what
 *   they owe may never come (twenty-five hostile ones filled the window, and for 0.4 s nothing came at all).
 */

import type { Inbound } from '../../wire/messages.ts';
import { grantsPerLinkMax, stallBytesPerMs, unprovenBytesMax, unprovenMax, unprovenMs } from '../limits.ts';
import type { Opinion } from '../records/parts.ts';
import { openCountTo } from '../records/questions.ts';
import type { Blob, Flight, OutLink, Source } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { PolicyConfig } from '../types.ts';
import type { OurDownlink, OurFeeder } from './ours.ts';

/** The estimate moves by this part of a sample; up and down in the ratio that settles at the percentile. */
const step = 0.25;
const percentile = 0.96;
const mebibyte = 1024 * 1024;

// ---- what happens to an opinion ----------------------------------------------------------------

/** A piece has come. */
export function delivers(state: State, link: OutLink): void {
  const feeder = link.feeder as OurFeeder;
  const { opinion } = feeder;
  feeder.arrivedMs = state.nowMs;
  if (opinion.kind === 'proven') (opinion as Proven).pieces += 1;
  else feeder.opinion = { kind: 'proven', pieces: 1, slowMs: 0 };
}

/** What it owed is missing, or was given up. Who has sent something is forgiven. */
export function letsDown(link: OutLink): void {
  if (link.feeder.opinion.kind === 'untried') (link.feeder as OurFeeder).opinion = { kind: 'letDown' };
}

/** The piece that has come was waited for, and took `ms`. */
export function tookMs({ feeder: { opinion } }: OutLink, ms: number): void {
  if (opinion.kind !== 'proven') return;
  const ours = opinion as Proven;
  if (ours.slowMs === 0) ours.slowMs = ms;
  else if (ms > ours.slowMs) ours.slowMs += (ms - ours.slowMs) * step + 0.01;
  else ours.slowMs -= (ours.slowMs - ms) * step * (1 - percentile);
}

type Proven = { pieces: number; slowMs: number };

/** Something moves on `link`, or it is gone. */
export function moves(state: State, link: OutLink): void {
  const feeder = link.feeder as OurFeeder;
  const down = state.down as OurDownlink;
  down.standingPieces -= feeder.standingPieces;
  down.standingBytes -= feeder.standingBytes;
  feeder.standingPieces = 0;
  feeder.standingBytes = 0;
}

/** What is on its way from `source` stands still. */
export function stands(state: State, { link, flights }: Source, bytes: number): void {
  const feeder = link.feeder as OurFeeder;
  const down = state.down as OurDownlink;
  down.standingPieces += flights.length;
  down.standingBytes += bytes;
  feeder.standingPieces += flights.length;
  feeder.standingBytes += bytes;
  state.due.room = true;
  state.due.loss = true;
}

// ---- what follows from it ----------------------------------------------------------------------

export function isProven({ feeder }: OutLink): boolean {
  return feeder.opinion.kind === 'proven';
}

/** Pieces that may be on their way from `source`: one that only grants holds up few, until it has sent some. */
export function trust({ blob, link }: Source): number {
  const few = Math.min(unprovenMax, Math.floor(unprovenBytesMax / blob.meta.pieceLength));
  const { opinion } = link.feeder;
  return Math.min(grantsPerLinkMax, Math.max(1, few) + (opinion.kind === 'proven' ? opinion.pieces : 0));
}

/** Pieces that we would take from `source` now: what its feeder is told. */
export function wanted(source: Source): number {
  const { blob } = source;
  if (source.state !== 'open' || !blob.usable) return 0;
  const { late, restsUntilMs } = blob.pulling;
  if (restsUntilMs > 0) return 0;
  let count = source.all ? openCountTo(source) : source.count;
  for (let i = 0; i < late.length; i += 1) {
    if (late[i]!.source !== source && source.holds(late[i]!.piece)) count += 1;
  }
  return Math.min(trust(source) - source.flights.length, count);
}

/** Whether a piece of `blob` from `link` is within rule 2, in a downlink window of so many bytes. */
export function mayTry(state: State, link: OutLink, blob: Blob, windowBytes: number): boolean {
  const { kind } = link.feeder.opinion;
  if (kind === 'proven') return true;
  const owed = owedByUntried(state, blob);
  if (owed === 0 || kind === 'letDown') return owed === 0;
  return owed + blob.meta.pieceLength <= windowBytes / 2;
}

/** Bytes on their way from those who have not sent a piece yet, and do not stand; 0 where nobody else serves `blob`. */
function owedByUntried({ graph: { links } }: State, blob: Blob): number {
  let owed = 0;
  for (const link of links.values()) {
    if (link.kind !== 'out' || isProven(link)) continue;
    for (const { flights } of link.sources) for (const { bytes } of flights) owed += bytes;
    owed -= link.feeder.standingBytes;
  }
  if (owed === 0) return 0;
  return isServed(blob) ? owed : 0;
}

/** Somebody who has sent something serves it. */
function isServed({ pulling: { sources } }: Blob): boolean {
  return sources.some((source) => isProven(source.link) && serves(source));
}

function serves(source: Source): boolean {
  return source.state === 'open' && (source.flights.length > 0 || wanted(source) > 0);
}

/**
 * Our load, as the feeder on `link` hears of it: what stands still elsewhere takes nothing of our downlink. An origin
 * does not hear of what comes from whom nothing has come yet either: it leaves us to others where they send, and those
 * who only say so would keep it from it (hostile peers: 0.3 of the speed without them, then 0.68).
 */
export function inbound({ down, graph: { links } }: State, link: OutLink): Inbound {
  const { standingPieces, standingBytes } = link.feeder;
  const inPieces = down.inPieces - down.standingPieces + standingPieces;
  const inBytes = down.inBytes - down.standingBytes + standingBytes;
  if (link.peer.address.role !== 'origin') return { inPieces, inBytes };
  let pieces = 0;
  let bytes = 0;
  for (const other of links.values()) {
    if (other.kind !== 'out' || other === link || isProven(other)) continue;
    pieces -= other.feeder.standingPieces;
    bytes -= other.feeder.standingBytes;
    for (const { flights } of other.sources) {
      pieces += flights.length;
      for (const flight of flights) bytes += flight.bytes;
    }
  }
  return { inPieces: inPieces - pieces, inBytes: inBytes - bytes };
}

/** The middle one of what the blob's neighbours take. */
export function usualMs({ pulling: { sources } }: Blob): number {
  const all: number[] = [];
  for (const { link } of sources) if (slowMs(link.feeder.opinion) > 0) all.push(slowMs(link.feeder.opinion));
  return all.sort((a, b) => a - b)[all.length >> 1] ?? Infinity;
}

function slowMs(opinion: Opinion): number {
  return opinion.kind === 'proven' ? opinion.slowMs : 0;
}

/** After how long a piece is late, where others take `usual`. */
export function lateAfterMs({ source: { link } }: Flight, usual: number, policy: PolicyConfig): number {
  const { hedgeFloorMs, hedgeFactor } = policy;
  const slow = slowMs(link.feeder.opinion);
  // Nothing has come from there yet: only the usual time of others says anything.
  const own = slow === 0 ? Infinity : slow * hedgeFactor;
  const floor = slow === 0 && usual < Infinity ? Math.min(unprovenMs, hedgeFloorMs) : hedgeFloorMs;
  const after = Math.max(floor, Math.min(own, usual * hedgeFactor));
  return after === Infinity ? hedgeFloorMs * 10 : after;
}

/**
 * How what is on its way from a source moves. standing: not for a while. hopeless: standing, and of an agent that has
 * never sent a piece: asked for elsewhere. stuck: for so long that the link is given up.
 */
export type Pace = {
  readonly standing: boolean;
  readonly hopeless: boolean;
  readonly stuck: boolean;
  readonly bytes: number;
};

/** Of a source with something on its way. */
export function paceOf(state: State, { blob, flights, link, state: at }: Source): Pace {
  const { feeder, peer } = link;
  let bytes = 0;
  let bytesMax = 0;
  let sinceMs = Infinity;
  for (const flight of flights) {
    bytes += flight.bytes;
    bytesMax = Math.max(bytesMax, flight.bytes);
    sinceMs = Math.min(sinceMs, flight.sinceMs);
  }
  const { stallMs, hedgeFloorMs, hedgeFactor } = state.config.policy;
  const stillMs = state.nowMs - Math.max(sinceMs, feeder.arrivedMs);
  const usual = usualMs(blob);
  const standing = stillMs > Math.max(hedgeFloorMs, usual === Infinity ? hedgeFloorMs * 10 : usual * hedgeFactor);
  const longMs = usual === Infinity ? Infinity : hedgeFloorMs * Math.max(1, bytesMax / mebibyte);
  const hopeless = standing && feeder.opinion.kind !== 'proven' && peer.address.role === 'agent' && stillMs > longMs;
  // A closed one has the time that the graph gives it. One piece's time, however many are asked for: they come one after the other.
  const stuck = at !== 'closed' && stillMs > stallMs + bytesMax / stallBytesPerMs;
  return { standing, hopeless, stuck, bytes };
}
