/** Bytes to a reader that has no buffer: as they come, and in order whatever waited before. */

import { expect, test } from 'vitest';
import { Pour } from './pour.ts';

test('what comes between a resume and its turn comes after what waited; each is told of once it was taken', () => {
  const told: string[] = [];
  const later: (() => void)[] = [];
  let goesOn = false;
  const ears = {
    received: (bytes: number, buffer: Uint8Array) => {
      told.push(Buffer.from(buffer.subarray(0, bytes)).toString());
      return goesOn;
    },
    closed: () => undefined,
  };
  const pour = new Pour(ears, { later: (call) => later.push(call), empty: () => told.push('empty') });
  const push = (text: string): boolean => pour.push(Buffer.from(text), () => told.push(`${text} used`));
  expect([push('a'), push('b')]).toEqual([false, false]);
  goesOn = true;
  pour.resume();
  push('c');
  for (const call of later.splice(0)) call();
  expect(told).toEqual(['a', 'a used', 'b', 'b used', 'c', 'c used', 'empty']);
  expect(push('d')).toBe(true);
  expect(told.slice(7)).toEqual(['d', 'd used']);
  pour.close();
  expect(push('e')).toBe(false);
  expect(told).toHaveLength(9);
});
