/** Questions about links and what is open on them. */

import { FEATURES } from '../../wire/frames.ts';
import type { SeenBits } from './bits.ts';
import type { Flight, InLink, Link, OutLink, Sink, Source } from './records.ts';

export const knowsWishes = ({ features }: Link): boolean => (features & FEATURES.wishes) !== 0;

/** Of a blob that grows: its list in part, and how much of that is known. */
export const knowsGrowing = ({ features }: Link): boolean => (features & FEATURES.growing) !== 0;

export function findSource({ sources }: OutLink, swarm: number): Source | undefined {
  for (let i = 0; i < sources.length; i += 1) if (sources[i]!.swarm === swarm) return sources[i];
  return undefined;
}

export function findSink({ sinks }: InLink, swarm: number): Sink | undefined {
  for (let i = 0; i < sinks.length; i += 1) if (sinks[i]!.swarm === swarm) return sinks[i];
  return undefined;
}

export function findFlight({ flights }: Source, piece: number): Flight | undefined {
  for (let i = 0; i < flights.length; i += 1) if (flights[i]!.piece === piece) return flights[i];
  return undefined;
}

// ---- other zones: pulling/far.ts -----------------------------------------------------------------

/** Whether only what the zone lacks may come from `source`. */
export function isBound({ link, blob: { pulling } }: Source): boolean {
  return pulling.abroad.kept && link.peer.far && pulling.abroad.liftedUntilMs === 0;
}

/** Whether what it holds need not cross. */
export function isNearAgent({ link: { peer }, blob: { pulling } }: Source): boolean {
  return pulling.abroad.kept && !peer.far && peer.address.role === 'agent';
}

/** The pieces that we may ask `source` for, if it holds them. */
export function openTo(source: Source): SeenBits {
  const { open, abroad } = source.blob.pulling;
  return isBound(source) ? abroad.open : open;
}

export function openCountTo(source: Source): number {
  const { openCount, abroad } = source.blob.pulling;
  return isBound(source) ? abroad.count : openCount;
}
