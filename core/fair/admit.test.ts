/** Places among clients: what one may take, and whose goes. */

import { describe, expect, test } from 'vitest';
import { admit, type FairPlace } from './admit.ts';

const limit = 256;
/** `count` places of one client, the first the longest unused. */
const places = (client: string, count: number, idle = true, fromMs = 0): FairPlace<string>[] =>
  Array.from({ length: count }, (_, i) => ({ item: `${client}${i}`, client, usedMs: fromMs + i, idle }));

describe('one client alone', () => {
  test('has all but the last eighth, then its own longest unused gives way', () => {
    expect(admit(places('a', 223), 'a', limit)).toEqual({ kind: 'room' });
    expect(admit(places('a', 224), 'a', limit)).toEqual({ kind: 'instead', item: 'a0' });
    expect(admit(places('a', 224, false), 'a', limit)).toEqual({ kind: 'full' });
  });
});

describe('another client', () => {
  test('finds room that the first cannot take, and then takes it from what that one does not use', () => {
    const first = places('a', 224, false);
    expect(admit(first, 'b', limit)).toEqual({ kind: 'room' });
    expect(admit([...first, ...places('b', 7)], 'b', limit)).toEqual({ kind: 'room' });
    expect(admit([...places('a', 224), ...places('b', 8)], 'b', limit)).toEqual({ kind: 'instead', item: 'a0' });
  });

  test('is not robbed by the one that holds more', () => {
    const busy = [...places('a', 224, false), ...places('b', 5, true, -1000)];
    expect(admit(busy, 'a', limit)).toEqual({ kind: 'full' });
    expect(admit([...busy, ...places('a', 1, true, 900)], 'a', limit)).toEqual({ kind: 'instead', item: 'a0' });
  });

  test('may be refused only where everything is in use by clients that hold as little', () => {
    const all = Array.from({ length: limit }, (_, i) => places(`client${i} `, 1, false)).flat();
    expect(admit(all, 'b', limit)).toEqual({ kind: 'full' });
    const one = all.map((place, i) => ({ ...place, idle: i === 7 || i === 9, usedMs: 100 - i }));
    expect(admit(one, 'b', limit)).toEqual({ kind: 'instead', item: 'client9 0' });
  });
});

test.each([1, 2, 3, 7])('of %i places all can be taken by clients of one each', (few) => {
  const held: FairPlace<string>[] = [];
  for (let i = 0; i < few; i++) {
    expect(admit(held, `client${i}`, few)).toEqual({ kind: 'room' });
    held.push(...places(`client${i}`, 1, false));
  }
  expect(admit(held, 'another', few)).toEqual({ kind: 'full' });
});
