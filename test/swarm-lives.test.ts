/** The tables of lives: the pictures in docs/swarm.md are theirs, no state is out of reach, and a wrong step is a Bug. */

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Bug } from '../core/assert.ts';
import { next, sourceLife } from '../core/swarm/records/lives.ts';
import { drawn, lives } from '../tools/draw-lives.ts';

const document = readFileSync(new URL('../docs/swarm.md', import.meta.url), 'utf8');

test('docs/swarm.md shows each life as its table is (else: node tools/draw-lives.ts)', () => {
  expect(drawn(document)).toBe(document);
  for (const name of Object.keys(lives)) expect(document).toContain(`<!-- life: ${name} -->\n\`\`\`mermaid`);
});

test.each(Object.entries(lives))('a %s can come to each of its states, and to an end', (_, life) => {
  const states = Object.keys(life);
  const reached = new Set(states.slice(0, 1));
  for (const from of reached) for (const to of Object.keys(life[from]!)) reached.add(to);
  expect([...reached].sort()).toEqual([...states].sort());
  expect(states.some((state) => Object.keys(life[state]!).length === 0)).toBe(true);
});

test('what no table has does not happen', () => {
  expect(next(sourceLife, 'opening', 'open')).toBe('open');
  expect(() => next(sourceLife, 'closed', 'open')).toThrow(Bug);
});
