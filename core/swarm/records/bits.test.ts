/** Bit sets against plain sets. */

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { add, bits, countBits, firstFrom, fromBytes, full, has, ones, remove, toBytes } from './bits.ts';

test('a bit set holds what was added and not removed, and survives the wire', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 200 }),
      fc.array(fc.nat(), { maxLength: 60 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      (count, put, gone) => {
        const set = bits(count);
        const model = new Set<number>();
        for (const n of put) {
          add(set, n % count);
          model.add(n % count);
        }
        for (const n of gone) {
          remove(set, n % count);
          model.delete(n % count);
        }
        expect(countBits(set)).toBe(model.size);
        for (let i = 0; i < count; i += 1) expect(has(set, i)).toBe(model.has(i));
        expect(fromBytes(toBytes(set, count), count)).toEqual(set);
        const walked: number[] = [];
        for (let i = firstFrom(set, 0); i >= 0; i = firstFrom(set, i + 1)) walked.push(i);
        expect(walked).toEqual([...model].sort((a, b) => a - b));
      },
    ),
    { seed: 7 },
  );
});

test('bytes: piece i is bit (i & 7) of byte i >> 3, and bits past the end are ignored', () => {
  const set = bits(11);
  add(set, 0);
  add(set, 9);
  expect([...toBytes(set, 11)]).toEqual([1, 2]);
  expect(countBits(fromBytes(Uint8Array.of(255, 255), 11))).toBe(11);
  expect(fromBytes(Uint8Array.of(255, 255), 11)).toEqual(full(11));
});

test('ones counts negative words too', () => {
  expect([0, 1, -1, -2_147_483_648, 0x5555_5555].map(ones)).toEqual([0, 1, 32, 1, 16]);
  expect([1, 31, 32, 33].map((n) => countBits(full(n)))).toEqual([1, 31, 32, 33]);
});
