/**
 * What 2,600 hosts cost an engine that resolve one tag in the same second, by the index's own count: on SQLite, on PostgreSQL
 * and in a bucket, over real connections.
 */

import { expect, test } from 'vitest';
import { measureTags } from '../../../loadgen/tags/command.ts';

/** Ten a second of one tag, and the first few; ten times as many on a machine on which the second takes ten. */
const readsMax = 150;

test('2,600 hosts that resolve one tag at once cost each engine a handful of reads', { timeout: 240_000 }, async () => {
  const asked = { readers: 2_600, writers: 16, tags: 20, durationMs: 300, rounds: 1, log: 'warn', json: false };
  const engines = await measureTags({ ...asked, store: [] });
  expect(engines.map(({ engine }) => engine)).toEqual(['sqlite', 'postgres', 'bucket']);
  for (const { engine, herd } of engines) {
    expect(herd, engine).toMatchObject({ asked: 2_600 });
    expect(herd.ofEngine, engine).toBeLessThan(engine === 'sqlite' ? 2 : readsMax);
  }
  // Nothing was written while SQLite was asked: what it had said held.
  expect(engines.every(({ writes }) => writes.perS > 0)).toBe(true);
});
