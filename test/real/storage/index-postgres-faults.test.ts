/** The index's store in PostgreSQL where something fails: the server, the way to it, and what is in it. */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import { type PostgresStore, storeSchema } from '../../../platform/tags/config.ts';
import { forgetNamesEvery, namesKeptMax } from '../../../platform/tags/named.ts';
import { WriteGroups } from '../../../platform/tags/postgres/group.ts';
import { openPostgresTags } from '../../../platform/tags/postgres/postgres.ts';
import { migrate } from '../../../platform/tags/postgres/schema/migrate.ts';
import { postgresSteps } from '../../../platform/tags/postgres/schema/schema.ts';
import { EngineClock } from '../../../platform/tags/postgres/server/clock.ts';
import { attemptMs } from '../../../platform/tags/postgres/server/limits.ts';
import { Primary } from '../../../platform/tags/postgres/server/primary.ts';
import type { TagStore } from '../../../platform/tags/store.ts';
import { silentLog } from '../../../platform/telemetry/log.ts';
import { Lossy } from './lossy.ts';
import type { DatabaseServer } from './servers/databases.ts';
import { startPostgres } from './servers/postgres.ts';
import { started } from './servers/server.ts';

const stack = new AsyncDisposableStack();
const log = silentLog();
let server: DatabaseServer;
beforeAll(async () => {
  server = await started(stack, (dir) => startPostgres(dir));
});
afterAll(() => stack.disposeAsync());

let schemas = 0;
async function open(schema = `s${++schemas}`, port = server.settings().port, more: object = {}): Promise<TagStore> {
  const { host, database, username, password } = server.settings();
  const said = { kind: 'postgres', host, port, database, username, password, schema, connections: 4, ...more };
  return stack.use((await openPostgresTags({ settings: storeSchema.parse(said) as PostgresStore, log })).store);
}

/** As kill -9 leaves its shared memory for a moment, it may be refused once or twice. */
const startAgain = () => expect.poll(() => server.start().then(() => 'up', String), { timeout: 60_000 }).toBe('up');

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
const image = (tags: string[]) => ({ mediaType: 'm', size: 1, tags, blobs: [], manifests: [] });
const numberOf = (version: string | undefined): number => Number(version?.split('-')[0]);

test('many that start at once make the tables once, and are one index', async () => {
  const stores = await Promise.all(Array.from({ length: 6 }, () => open('together')));
  const ids = await Promise.all(stores.map(async (store) => (await store.unlinked([])).index));
  expect(new Set(ids).size).toBe(1);
  await stores[0]!.putManifest('a', digest(1), image(['x']), 0);
  for (const store of stores) expect((await store.tag('a', 'x'))?.digest).toBe(digest(1));
});

test('tables of somebody else, and those of a newer release, are refused and left as they are', async () => {
  const { database } = server.settings();
  await server.asAdmin(
    'CREATE SCHEMA theirs; CREATE TABLE theirs.mine (x int); GRANT ALL ON SCHEMA theirs TO shoal',
    database,
  );
  await expect(open('theirs')).rejects.toThrow("schema theirs holds tables that are not Shoal's (mine)");
  await open('newer');
  await server.asAdmin('UPDATE newer.shoal_index SET version = 99', database);
  await expect(open('newer')).rejects.toThrow(
    `schema newer has version 99, this process needs ${postgresSteps.length}`,
  );
});

test('tables of the release before keep what they hold, and remember writes by their names from then on', async () => {
  const { host, port, database, username, password } = server.settings();
  const said = { kind: 'postgres', host, port, database, username, password, schema: 'before' };
  const settings = storeSchema.parse(said) as PostgresStore;
  await using primary = new Primary(settings, new EngineClock());
  const of = { schema: 'before', name: 'it' };
  const id = await migrate(await primary.connect(), { ...of, steps: postgresSteps.slice(0, 1) });
  const hex = digest(1);
  await server.asAdmin(
    `SET search_path TO before; INSERT INTO repos (name) VALUES ('a');
    INSERT INTO manifests SELECT id, '${hex}', 'm', 5 FROM repos; INSERT INTO tags SELECT id, 'x', '${hex}', 41 FROM repos;
    UPDATE identity SET tag_version = 41`,
    database,
  );
  const store = await open('before');
  expect(await store.tag('a', 'x')).toMatchObject({ digest: hex, version: `41-${id}` });
  const write = () => store.named({ name: '0f'.repeat(16) }).putTag('a', 'x', { digest: hex });
  for (let i = 0; i < 2; i++) expect(await write()).toEqual({ version: `42-${id}` });
  await expect(migrate(await primary.connect(), { ...of, steps: postgresSteps.slice(0, 1) })).rejects.toThrow(
    'this process needs 1',
  );
});

test('of names the newest are remembered, and perhaps a step more', async () => {
  const { database } = server.settings();
  const store = await open('named');
  await store.putManifest('a', digest(1), image(['x']), 0);
  await server.asAdmin(
    `INSERT INTO named.named (name, told) SELECT 'n' || i, '{"told":true}' FROM generate_series(1, ${namesKeptMax}) AS i`,
    database,
  );
  const write = (name: string) => store.named({ name }).putTag('a', 'x', { digest: digest(1) });
  expect(await write('n1')).toBe(true);
  await Promise.all(Array.from({ length: forgetNamesEvery }, (_, i) => write(`m${i}`)));
  expect(await write('n1')).toMatchObject({ version: expect.any(String) });
  expect(await write(`n${2 * forgetNamesEvery}`)).toBe(true);
});

test('a clock of the database: two processes go by the same one, whatever their hosts say', async () => {
  const { host, port, database, username, password } = server.settings();
  const settings = storeSchema.parse({ kind: 'postgres', host, port, database, username, password }) as PostgresStore;
  const opened = await openPostgresTags({ settings, log });
  await using _ = opened.store;
  expect(Math.abs(opened.nowMs() - Date.now())).toBeLessThan(60_000);
});

test('where a COMMIT or its answer is lost the write is made once, and acknowledged', async () => {
  await using lossy = await Lossy.to(server.settings().port);
  const store = await open('lossy', lossy.port);
  await store.putManifest('a', digest(1), image([]), 0);
  let last = await store.putTag('a', 'x', { digest: digest(1) });
  for (const lose of ['before', 'after', 'after', 'before'] as const) {
    const { version } = last as { version: TagVersion };
    lossy.lose = lose;
    // A second one would find the tag changed.
    const next = await store.putTag('a', 'x', { digest: digest(1), after: version });
    expect(next).toEqual({ version: expect.any(String) });
    expect(numberOf((next as { version: string }).version)).toBe(numberOf(version) + 1);
    expect((await store.tag('a', 'x'))?.version).toBe((next as { version: string }).version);
    last = next;
  }
  expect(lossy.lost).toBe(4);
});

test('writes that take long, as their server is far, are made in several transactions, and none of them gives up', async () => {
  const { host, port, database, username, password } = server.settings();
  const said = { kind: 'postgres', host, port, database, username, password, schema: 'far' };
  const settings = storeSchema.parse(said) as PostgresStore;
  const clock = new EngineClock();
  await using primary = new Primary(settings, clock);
  const id = await migrate(await primary.connect(), { schema: 'far', name: 'it' });
  const order: number[] = [];
  {
    await using groups = new WriteGroups({ primary, database: id, clock });
    const write = (no: number) =>
      groups.write(async ({ numbers }) => {
        await sleep(attemptMs / 40);
        return [no, numbers.next(0)];
      });
    const all = await Promise.all(
      Array.from({ length: 50 }, (_, no) =>
        write(no).then((done) => {
          order.push(no);
          return done;
        }),
      ),
    );
    // Together they take longer than a transaction may: each was made once, in their order.
    expect(all).toEqual(all.map((_, no) => [no, no + 1]));
  }
  expect(order).toEqual(order.toSorted((a, b) => a - b));
});

test('a write that the server refuses fails alone, and harms none of those beside it', async () => {
  const store = await open();
  const bad = 'no\0text';
  const outcomes = await Promise.allSettled([
    store.putManifest('a', digest(1), image(['x']), 0),
    store.putManifest('a', digest(2), { ...image(['y']), mediaType: bad }, 0),
    store.putManifest('a', digest(3), image(['z']), 0),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect((await store.tags('a', { n: 9 }))?.tags).toEqual(['x', 'z']);
});

async function settled<T>(call: Promise<T>): Promise<PromiseSettledResult<T>> {
  const [end] = await Promise.allSettled([call]);
  return end;
}

test('while the server is away that is said, and never that something is not there; once it is back all goes on', async () => {
  const store = await open();
  await store.putManifest('a', digest(1), image(['x']), 0);
  await server.kill();
  const away = {
    code: 'UNAVAILABLE',
    message: expect.stringContaining('cannot reach its store, PostgreSQL kraken at 127.0.0.1:'),
  };
  // The processes of its connections may outlive it for a moment, and answer.
  let end = await settled(store.tag('a', 'x'));
  for (; end.status === 'fulfilled'; end = await settled(store.tag('a', 'x')))
    expect(end.value?.digest).toBe(digest(1));
  expect(end.reason).toMatchObject(away);
  await expect(store.putTag('a', 'y', { digest: digest(1) })).rejects.toMatchObject(away);
  await startAgain();
  await expect.poll(async () => (await store.tag('a', 'x').catch(() => undefined))?.digest).toBe(digest(1));
  expect(await store.putTag('a', 'y', { digest: digest(1) })).toEqual({ version: expect.any(String) });
});

/** Writes its own tag and races for a common one, until it is told to stop; notes what was acknowledged. */
async function write(store: TagStore, me: number, until: { over: boolean }) {
  const mine = { acknowledged: 0, tried: 0, won: [] as TagVersion[], failed: 0 };
  while (!until.over) {
    const no = ++mine.tried;
    try {
      await store.putManifest('a', digest(me * 100_000 + no), image([`w${me}`]), 0);
      mine.acknowledged = no;
      const { version } = (await store.tag('a', 'race')) ?? { version: null };
      const put = await store.putTag('a', 'race', { digest: digest(me * 100_000 + no), after: version ?? null });
      if (put !== undefined && 'version' in put) mine.won.push(put.version);
    } catch (error) {
      expect(error).toMatchObject({ code: 'UNAVAILABLE' });
      mine.failed += 1;
      await sleep(20);
    }
  }
  return mine;
}

test('killed, stopped and started under writers of three processes, it loses nothing that was acknowledged', async () => {
  const stores = await Promise.all([1, 2, 3].map(() => open('busy')));
  const until = { over: false };
  const writers = Promise.all(stores.map((store, i) => write(store, i + 1, until)));
  const some = (store: TagStore) =>
    expect.poll(() => store.putTag('a', 'probe', { digest: digest(100_001) }).catch(() => undefined), {
      timeout: 60_000,
    });
  await some(stores[0]!).toBeDefined();
  for (const how of ['kill', 'stop', 'kill'] as const) {
    await sleep(300);
    if (how === 'kill') {
      await server.kill();
      await startAgain();
    } else {
      server.signal('SIGSTOP');
      await sleep(2_500);
      server.signal('SIGCONT');
    }
    for (const store of stores) await some(store).toBeDefined();
  }
  until.over = true;
  const all = await writers;
  for (const [i, { acknowledged, tried, failed }] of all.entries()) {
    const on = (await stores[0]!.tag('a', `w${i + 1}`))?.digest;
    const no = Number.parseInt(on?.slice(-8) ?? '', 16) - (i + 1) * 100_000;
    // What failed may have happened all the same; what was acknowledged has.
    expect(no).toBeGreaterThanOrEqual(acknowledged);
    expect(no).toBeLessThanOrEqual(tried);
    expect(acknowledged).toBeGreaterThan(0);
    expect(failed).toBeLessThan(tried);
  }
  const won = all.flatMap((one) => one.won).map(numberOf);
  expect(new Set(won).size).toBe(won.length);
});
