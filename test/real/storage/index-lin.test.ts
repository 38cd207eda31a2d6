/**
 * Whether what callers of index processes are told of tags is linearizable: of one, while it is killed and stopped, and of
 * three on one engine, whose callers ask another one for what the first did not answer, under all faults there are: of the
 * processes, of the ways to and from them, and of the engine's own process.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { type EngineServer, engineOf } from '../../../loadgen/indexes/store.ts';
import { faultKinds } from '../../../loadgen/lin/faults.ts';
import { runLin } from '../../../loadgen/lin/run.ts';
import { temporary } from '../processes.ts';
import { byLength, ofShort } from '../short.ts';
import { startMinio } from './servers/minio.ts';
import { startPostgres } from './servers/postgres.ts';
import type { S3Server } from './servers/s3.ts';
import { type Restartable, started } from './servers/server.ts';
import { startVersitygw } from './servers/versitygw.ts';

const stack = new AsyncDisposableStack();
afterAll(() => stack.disposeAsync());

const load = { callers: 12, tags: 4, seed: Number(process.env['SHOAL_SEED'] ?? 1) };
const thousands = byLength({ short: undefined, usual: 10_000, long: 10_000 });
/** Each operation may meet a fault, and wait for two seconds and more. */
const limitMs = byLength({ short: 240_000, usual: 1_800_000, long: 1_800_000 });

type Tried = { readonly indexes: number; readonly operations: number; readonly server?: Restartable };

async function holds(store: string, { indexes, operations, server }: Tried): Promise<void> {
  const asked = { ...load, operations, store: engineOf(store), indexes, faults: faultKinds };
  const { violations, undecided, ...result } = await runLin(asked, server && restarting(server));
  const faults = Object.entries(result.faults).map(([kind, count]) => `${count} ${kind}`);
  console.log(`${result.operations} operations, ${result.unknown} of unknown outcome; faults: ${faults.join(', ')}`);
  expect(violations).toEqual([]);
  expect(undecided).toBe(0);
  // Something was tried, and something went wrong meanwhile.
  expect(result.operations).toBeGreaterThan(operations / 4);
  expect(Object.keys(result.faults).length).toBeGreaterThan(0);
}

/** After kill -9 a server may be refused once or twice what it left in shared memory. */
function restarting(server: Restartable): EngineServer {
  return {
    signal: (name) => server.signal(name),
    kill: () => server.kill(),
    start: () => expect.poll(() => server.start().then(() => 'up', String), { timeout: 60_000 }).toBe('up'),
  };
}

test('one index process on SQLite', { timeout: limitMs }, () =>
  holds('sqlite', { indexes: 1, operations: thousands ?? 200 }),
);

test('three index processes on PostgreSQL', { timeout: limitMs }, async () => {
  const server = await started(stack, (dir) => startPostgres(dir));
  const { host, port, database, username, password } = server.settings();
  const store = `postgres://${username}:${password}@${host}:${port}/${database}`;
  await holds(store, { indexes: 3, operations: thousands ?? 600, server });
});

const buckets: Readonly<Record<string, (dir: string) => Promise<S3Server>>> = {
  versitygw: startVersitygw,
  minio: startMinio,
};
describe.each(ofShort(Object.keys(buckets), (name) => name === 'versitygw'))(
  'three index processes on a bucket of %s',
  (name) => {
    test('are linearizable', { timeout: limitMs }, async () => {
      const server = await started(stack, buckets[name] as (typeof buckets)[string]);
      const file = join(await temporary(stack, 'lin'), 'store.yaml');
      const store = { kind: 'bucket', backend: server.rule.name };
      writeFileSync(file, stringify({ store, backends: [server.rule] }));
      await holds(file, { indexes: 3, operations: thousands ?? 200, server });
    });
  },
);
