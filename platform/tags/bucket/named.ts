/**
 * Names of writes in a bucket (platform/tags/named.ts): with their outcomes in the cell whose conditional write decides, the
 * newest of each cell (body.ts). So whoever has read the cell before a name was written there fails to write it, and
 * whoever reads it afterwards knows the name.
 *
 * Rule: a manifest with tags is done tag by tag: what a try that broke off has set is not set again, the rest is.
 */

import { isRemembered, outcomeOf, rememberedOf, type WriteName } from '../named.ts';
import type { ManifestOutcome } from '../store.ts';
import { numberOf } from '../versions.ts';
import type { ToldOf } from './cells/body.ts';
import type { Cell } from './cells/cells.ts';

/** What came of that write, where its cell knows it; it may be undefined itself. */
export type KnownOutcome<T> = { readonly outcome: T };

export function knownIn<T>(cell: Cell<unknown>, of: WriteName | undefined): KnownOutcome<T> | undefined {
  const told = of && cell.named?.find(([name]) => name === of.name)?.[1];
  return told === undefined ? undefined : { outcome: outcomeOf(told) as T };
}

/** What a cell is to remember with that write; undefined: nothing. */
export function toldIn(of: WriteName | undefined, outcome: unknown): ToldOf | undefined {
  return of !== undefined && isRemembered(of, outcome) ? [of.name, rememberedOf(outcome)] : undefined;
}

/** Whether a no that a cell remembers is the last word of all of that write. */
export function isNo({ outcome }: KnownOutcome<ManifestOutcome>): boolean {
  return outcome.version === undefined;
}

/** Of tags that one write has set in several tries: what it was told of the last one. */
export function newest(known: readonly KnownOutcome<ManifestOutcome>[]): KnownOutcome<ManifestOutcome> | undefined {
  const no = ({ outcome: { version } }: KnownOutcome<ManifestOutcome>): number =>
    version === undefined ? 0 : numberOf(version);
  return known.toSorted((one, other) => no(other) - no(one))[0];
}
