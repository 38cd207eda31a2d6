/** Numbers of versions, as the row of a database has them. */

import { expect, test } from 'vitest';
import { Numbers } from './numbers.ts';

const row = { id: 'a'.repeat(32), generation: 0, forgotten: 0 };

test('each write has the next number, not below what a clock says', () => {
  const numbers = new Numbers({ ...row, version: 4 });
  expect([numbers.next(0), numbers.next(9), numbers.next(9), numbers.changed]).toEqual([5, 9, 10, true]);
});

test.each([2 ** 52, 2 ** 53, 2 ** 63])(
  'a row that says %d gives no two writes one number: it is refused, and named',
  (version) => {
    const numbers = new Numbers({ ...row, version });
    expect(() => numbers.next(0)).toThrow(/identity\.tag_version/);
    expect(numbers.changed).toBe(false);
  },
);
