import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import * as z from 'zod';
import { ConfigError, loadConfig } from './load.ts';
import { hostPlaceIn, placeFits, placeShape } from './place.ts';
import { withRules } from './rules.ts';

const shape = z.strictObject({ zone: z.string().prefault(''), peer: z.strictObject(placeShape).prefault({}) });
const schema = withRules(shape, placeFits);

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'shoal-place-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

function load(text: string, env: Record<string, string> = {}) {
  const file = join(dir, 'c.yaml');
  writeFileSync(file, text);
  try {
    return hostPlaceIn(loadConfig({ file, schema, env }).config);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((line) => line.replaceAll(`${dir}/`, ''));
    throw error;
  }
}

test.each([
  ['', ''],
  ['zone: a', 'a'],
  ['zone: a/7', 'a/7'],
  ['peer: { zone: b }', 'b'],
  ['zone: a\npeer: { rack: 7r }', 'a/7r'],
  ['peer: { zone: b, rack: r/1 }', 'b/r/1'],
  ['zone: a/7\npeer: { zone: a }', 'a'],
  [`peer: { zone: '\${Z}', rack: '\${R:-}' }`, 'eu-1'],
])('%j is at %j', (text, place) => {
  expect(load(`${text}\n`, { Z: 'eu-1' })).toBe(place);
});

test.each([
  ['peer:\n  rack: r', /^c\.yaml:2: peer\.rack: a rack is within a zone/],
  ['zone: a\npeer:\n  zone: b', /^c\.yaml:3: peer\.zone: `zone` says that this host is in a, and `peer\.zone` in b/],
  ['peer:\n  zone: a/b', /^c\.yaml:2: peer\.zone: what comes after a '\/' is the rack/],
  ['zone: a/b\npeer:\n  rack: c', /^c\.yaml:3: peer\.rack: the zone a\/b names a rack already/],
  [
    `peer:\n  zone: ${'z'.repeat(40)}\n  rack: ${'r'.repeat(24)}`,
    /peer\.rack: zone and rack together have 65 characters/,
  ],
  [`peer:\n  zone: ${'z'.repeat(65)}`, /^c\.yaml:2: peer\.zone: /],
  ['peer:\n  zone: zürich', /^c\.yaml:2: peer\.zone: expected printable ASCII/],
])('%j is refused', (text, problem) => {
  expect(load(`${text}\n`)).toEqual([expect.stringMatching(problem)]);
});
