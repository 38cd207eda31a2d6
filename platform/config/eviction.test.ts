import { expect, test } from 'vitest';
import * as z from 'zod';
import { evictionShape, roomOf } from './eviction.ts';

const shape = z.strictObject(evictionShape);

test('marks are percent that are used, or bytes that are free; ages are durations', () => {
  const given = shape.parse({ watermarks: { high: '90%', low: '82.5%' }, tti: '30d', ttl: '1h' });
  const watermarks = { high: { percent: 90 }, low: { percent: 82.5 } };
  const eviction = { watermarks, ttiMs: 30 * 86_400_000, ttlMs: 3_600_000 };
  expect(roomOf({ budget: 5, memory: 7, ...given })).toEqual({ budgetBytes: 5, eviction, hotBytes: 7 });
  const bytes = shape.parse({ watermarks: { high: '5GB', low: '10GB' } });
  expect(bytes.watermarks).toEqual({ high: { freeBytes: 5e9 }, low: { freeBytes: 10e9 } });
  expect(roomOf({ budget: 5, memory: 0, ...shape.parse({}) }).eviction).toBeUndefined();
});

test.each([
  [{ high: '80%', low: '90%' }, 'low (90%) must be less than high (80%)'],
  [{ high: '80%', low: '80%' }, 'must be less'],
  [{ high: '10GB', low: '5GB' }, 'low must leave more bytes free'],
  [{ high: '80%', low: '10GB' }, 'must both be percent'],
  [{ high: '0%', low: '0%' }, 'expected how full a disk is'],
  [{ high: '100%', low: '90%' }, 'expected how full a disk is'],
  [{ high: 'much', low: '90%' }, 'expected how full a disk is'],
])('%j is refused: %s', (watermarks, why) => {
  expect(JSON.stringify(shape.safeParse({ watermarks }).error?.issues)).toContain(why);
});

test('an age of seconds is refused: nothing that comes would stay until it is read', () => {
  expect(JSON.stringify(shape.safeParse({ tti: '5s' }).error?.issues)).toContain('at least 1m');
});
