/**
 * Whether what callers of index processes are told of tags is linearizable: of one, while it is killed and stopped, and of
 * three on one engine, whose callers ask another one for what the first did not answer, under all faults.
 */

import { afterAll, expect, test } from 'vitest';
import { engineOf } from '../../../loadgen/indexes/store.ts';
import { type FaultKind, faultKinds } from '../../../loadgen/lin/faults.ts';
import { runLin } from '../../../loadgen/lin/run.ts';
import { byLength } from '../short.ts';
import { startPostgres } from './servers/postgres.ts';
import { started } from './servers/server.ts';

const stack = new AsyncDisposableStack();
afterAll(() => stack.disposeAsync());

const operations = byLength({ short: 600, usual: 10_000, long: 10_000 });
const load = { operations, callers: 12, tags: 4, seed: 1 };
/** Each operation may meet a fault, and wait for two seconds and more. */
const limitMs = byLength({ short: 240_000, usual: 1_800_000, long: 1_800_000 });

async function holds(store: string, indexes: number, faults: readonly FaultKind[]): Promise<void> {
  const result = await runLin({ ...load, store: engineOf(store), indexes, faults });
  expect(result.violations).toEqual([]);
  expect(result.undecided).toBe(0);
  // Something was tried, and something went wrong meanwhile.
  expect(result.operations).toBeGreaterThan(load.operations / 4);
  expect(Object.keys(result.faults).length > 0).toBe(faults.length > 0);
}

test('one index process on SQLite', { timeout: limitMs }, () => holds('sqlite', 1, ['kill', 'stop']));

test('three index processes on PostgreSQL', { timeout: limitMs }, async () => {
  const server = await started(stack, (dir) => startPostgres(dir));
  const { host, port, database, username, password } = server.settings();
  await holds(`postgres://${username}:${password}@${host}:${port}/${database}`, 3, faultKinds);
});
