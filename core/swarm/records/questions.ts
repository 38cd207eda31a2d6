/** Questions about links and what is open on them. */

import { FEATURES } from '../../wire/frames.ts';
import { has } from './bits.ts';
import type { Flight, InLink, Link, OutLink, Sink, Source } from './records.ts';

export const knowsWishes = ({ features }: Link): boolean => (features & FEATURES.wishes) !== 0;

/** Of a blob that grows: its list in part, and how much of that is known. */
export const knowsGrowing = ({ features }: Link): boolean => (features & FEATURES.growing) !== 0;

export function holdsPiece({ bits: theirs }: Source, piece: number): boolean {
  return theirs === 'all' || has(theirs, piece);
}

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
