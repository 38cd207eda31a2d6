/**
 * What every backend does, whatever is behind it: run by each kind's own test. `make` gives an empty backend, which the
 * test closes.
 */

import { describe } from 'vitest';
import type { Backend } from './backend.ts';
import { conditionsConformance } from './conformance/conditions.fixtures.ts';
import { endsConformance } from './conformance/ends.fixtures.ts';
import { listConformance } from './conformance/lists.fixtures.ts';
import { objectsConformance, replacedConformance } from './conformance/objects.fixtures.ts';

export function backendConformance(make: () => Promise<Backend>, { objects = 2_500 } = {}): void {
  const conforming = { make, objects };
  describe('objects', () => objectsConformance(conforming));
  describe('objects that are replaced', () => replacedConformance(conforming));
  describe('keys and lists', () => listConformance(conforming));
  describe('conditions', () => conditionsConformance(conforming));
  describe('ends', () => endsConformance(conforming));
}
