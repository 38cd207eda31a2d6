/**
 * What every backend does, whatever is behind it: run by each kind's own test, which says what its kind can do. A kind
 * cannot pass by saying that it can do less: what it says is compared with what its test expects of it.
 *
 * Which suite: `backendConformance` of a store of any key; `blobsConformance` of what has blobs under keys of its own;
 * `tagsConformance` of what has tags. `make` gives an empty backend, which the test closes.
 */

import { describe } from 'vitest';
import type { Backend } from './backend.ts';
import { abilitiesConformance } from './conformance/abilities.fixtures.ts';
import { type BlobKeeping, blobEndsConformance, blobsConformanceOf } from './conformance/blobs.fixtures.ts';
import { conditionalConformance } from './conformance/conditional.fixtures.ts';
import { conditionsConformance } from './conformance/conditions.fixtures.ts';
import { endsConformance, lateEndsConformance } from './conformance/ends.fixtures.ts';
import { listConformance } from './conformance/lists.fixtures.ts';
import { namesConformance } from './conformance/names.fixtures.ts';
import { objectsConformance, replacedConformance } from './conformance/objects.fixtures.ts';
import { sharedConformance } from './conformance/shared.fixtures.ts';
import { type TagKeeping, tagsConformanceOf } from './conformance/tags.fixtures.ts';
import type { Ability } from './objects.fixtures.ts';

type Options = {
  /** Objects that the longest list has: more than a page where that costs little. */
  readonly objects?: number;
  /** What this kind, or what is behind it here, is not able to do; all else it must. */
  readonly cannot?: readonly Ability[];
  /** Another one in the same place as the last that `make` gave, opened with `shared`: it removes nothing. */
  readonly shared?: () => Promise<Backend>;
  /** It has `load`. */
  readonly loads?: boolean;
};

const canBut = (cannot: readonly Ability[]): Backend['can'] => ({
  conditions: !cannot.includes('conditions'),
  list: !cannot.includes('list'),
  writes: !cannot.includes('writes'),
  records: !cannot.includes('records'),
});

export function backendConformance(
  make: () => Promise<Backend>,
  { objects = 2_500, cannot = [], shared, loads = false }: Options = {},
): void {
  const conforming = { make, objects, can: canBut(cannot) };
  describe('abilities', () => abilitiesConformance(conforming));
  describe('objects', () => objectsConformance(conforming));
  describe('objects that are replaced', () => replacedConformance(conforming));
  describe('keys and lists', () => listConformance(conforming));
  describe('names', () => namesConformance(conforming));
  if (conforming.can.conditions) describe('conditions', () => conditionsConformance(conforming));
  if (conforming.can.conditions && loads) describe('conditional objects', () => conditionalConformance(make));
  describe('ends', () => endsConformance(conforming));
  describe('late ends', () => lateEndsConformance(conforming));
  if (shared !== undefined) describe('shared with others', () => sharedConformance(make, shared));
}

/** Of a kind that has blobs under keys of its own. */
export function blobsConformance(
  make: () => Promise<Backend>,
  { cannot = [], ...keeping }: BlobKeeping & Pick<Options, 'cannot'>,
): void {
  const conforming = { make, can: canBut(cannot), ...keeping };
  describe('abilities', () => abilitiesConformance(conforming));
  describe('blobs', () => blobsConformanceOf(conforming));
  describe('blobs whose transfer ends early', () => blobEndsConformance(conforming));
}

/** Of a kind that has tags under keys of its own. */
export function tagsConformance(
  make: () => Promise<Backend>,
  { cannot = [], ...keeping }: TagKeeping & Pick<Options, 'cannot'>,
): void {
  const conforming = { make, can: canBut(cannot), ...keeping };
  describe('abilities', () => abilitiesConformance(conforming));
  describe('tags', () => tagsConformanceOf(conforming));
}
