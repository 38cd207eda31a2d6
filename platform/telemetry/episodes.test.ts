/** How many lines a trouble makes. */

import { expect, test } from 'vitest';
import { VirtualClock } from '../net/clock.fixtures.ts';
import { Episodes, episodesMax, quietMs, remindMs } from './episodes.ts';

function scene() {
  const lines: [string, object, string][] = [];
  const line = (level: string) => (fields: object, text: string) => void lines.push([level, fields, text]);
  const clock = new VirtualClock();
  const log = { warn: line('warn'), info: line('info') };
  return { lines, clock, episodes: new Episodes(log, clock) };
}

test('what comes a thousand times is a line when it begins and one when it is over, with the number', () => {
  const { lines, clock, episodes } = scene();
  for (let i = 0; i < 1_000; i++) {
    clock.ms += 100;
    episodes.came('a', { of: i }, 'lookup failed');
    episodes.sweep();
  }
  clock.ms += quietMs;
  episodes.sweep();
  episodes.sweep();
  expect(lines).toEqual([
    ['warn', { of: 0 }, 'lookup failed'],
    ['info', { of: 0, times: 1_000, forMs: 99_900 }, 'lookup failed: over'],
  ]);
  episodes[Symbol.dispose]();
});

test('what lasts is told again; what came once is one line; very many share one', () => {
  const { lines, clock, episodes } = scene();
  for (let key = 0; key < 10 * episodesMax; key++) episodes.came(`${key}`, {}, 'failed');
  expect(lines).toHaveLength(episodesMax + 1);
  while (clock.ms < remindMs) {
    clock.ms += quietMs / 2;
    episodes.came('0', {}, 'failed');
    episodes.sweep();
  }
  // The others share came often, and is over as well.
  expect(lines.slice(episodesMax + 1).map(([level, , text]) => `${level} ${text}`)).toEqual([
    'info failed: over',
    'warn failed: still',
  ]);
  episodes[Symbol.dispose]();
});
