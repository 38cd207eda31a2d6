/**
 * Deleted means deleted, with real processes: images are pushed, mounted and deleted while everything collects with a grace of
 * seconds, and each part is killed and stopped at random. Nothing that is referred to is ever gone, and nothing else stays, on
 * origins or in the bucket. SHOAL_SEED is the seed of a run to be made again.
 */

import { afterAll, expect, test } from 'vitest';
import { prng } from '../../../core/prng.ts';
import { Cluster } from '../../../platform/testing/cluster.ts';
import { byLength } from '../short.ts';
import { Load } from './gc/load.ts';
import { expectRight } from './gc/look.ts';
import { pause, Site } from './gc/site.ts';
import { startPostgres } from './servers/postgres.ts';
import { started } from './servers/server.ts';
import { startVersitygw } from './servers/versitygw.ts';

const seed = Number(process.env['SHOAL_SEED'] ?? Date.now() % 1_000_000);
const operations = byLength({ short: 60, usual: 1_500, long: 10_000 });
const faultEveryMs = 3_000;
/** An operation may wait for several faults. */
const limitMs = byLength({ short: 300_000, usual: 900_000, long: 7_200_000 });
const stack = new AsyncDisposableStack();
afterAll(() => stack.disposeAsync());

async function race(engine: 'sqlite' | 'postgres'): Promise<void> {
  await using here = new AsyncDisposableStack();
  const random = prng(seed);
  const bucket = await started(here, (dir) => startVersitygw(dir));
  const cluster = here.use(await Cluster.make());
  const server = engine === 'postgres' ? await started(here, (dir) => startPostgres(dir)) : undefined;
  const { host, port, database, username, password } = server?.settings() ?? {};
  const store = server && { kind: 'postgres', host, port, database, username, password };
  const site = await Site.start({ cluster, bucket, stores: server ? [store, store] : [store], engine: server });
  const load = new Load(site.proxy, random);
  const running = load.run();
  const faults: Record<string, number> = {};
  while (load.operations < operations) {
    await pause(faultEveryMs * random.unit());
    const what = await site.fault(random);
    faults[what] = (faults[what] ?? 0) + 1;
  }
  load.over = true;
  await running;
  const why = `seed ${seed}`;
  const right = await expectRight({ site, load, bucket, why });
  process.stdout.write(`${JSON.stringify({ engine, seed, ...load.done, mounted: load.mounted, faults, ...right })}\n`);
  expect(load.done['pushed']).toBeGreaterThan(0);
  expect(load.done['deleted']).toBeGreaterThan(0);
}

test(`one index on SQLite, seed ${seed}`, { timeout: limitMs }, () => race('sqlite'));
test(`two indexes on PostgreSQL, seed ${seed}`, { timeout: limitMs }, () => race('postgres'));
