/** The index's store in PostgreSQL: what any store does. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresStore, storeSchema } from '../../../platform/tags/config.ts';
import { tagStoreConformance } from '../../../platform/tags/conformance.fixtures.ts';
import { documentsConformance } from '../../../platform/tags/documents.fixtures.ts';
import { doomedConformance } from '../../../platform/tags/doomed.fixtures.ts';
import { convergence, deletedElsewhere, elsewhereConformance } from '../../../platform/tags/elsewhere.fixtures.ts';
import { gcRace } from '../../../platform/tags/gc-race.fixtures.ts';
import { idleConformance, idleLists } from '../../../platform/tags/idle.fixtures.ts';
import { namedConformance } from '../../../platform/tags/named.fixtures.ts';
import { outboxConformance } from '../../../platform/tags/outbox.fixtures.ts';
import type { OutboxOptions } from '../../../platform/tags/outbox.ts';
import { openPostgresTags } from '../../../platform/tags/postgres/postgres.ts';
import { proveStore } from '../../../platform/tags/prove.ts';
import { quotaConformance } from '../../../platform/tags/quotas/quotas.fixtures.ts';
import type { TagStore } from '../../../platform/tags/store.ts';
import { targetsConformance } from '../../../platform/tags/targets.fixtures.ts';
import { untaggedConformance } from '../../../platform/tags/untagged.fixtures.ts';
import { untaggedRace } from '../../../platform/tags/untagged-race.fixtures.ts';
import { silentLog } from '../../../platform/telemetry/log.ts';
import { byLength } from '../short.ts';
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
const settings = (schema: string): PostgresStore => {
  const { host, port, database, username, password } = server.settings();
  const said = { kind: 'postgres', host, port, database, username, password, schema, connections: 4 };
  return storeSchema.parse(said) as PostgresStore;
};
const open = async (schema = `s${++schemas}`): Promise<TagStore> =>
  (await openPostgresTags({ settings: settings(schema), log })).store;

tagStoreConformance('postgres', () => open());
namedConformance('postgres', async () => {
  const schema = `s${++schemas}`;
  return { store: await open(schema), other: () => open(schema) };
});
const openFor = async ({ nowMs, ...targets }: OutboxOptions) =>
  (await openPostgresTags({ settings: settings(`s${++schemas}`), targets, nowMs, log })).store;
elsewhereConformance('postgres', () => open());
convergence('postgres', (_, outbox) => openFor(outbox));
deletedElsewhere('postgres', openFor);
outboxConformance('postgres', openFor);
targetsConformance('postgres', openFor);
for (const suite of [idleConformance, idleLists]) suite('postgres', openFor);
documentsConformance('postgres', () => open());
doomedConformance('postgres', openFor);
untaggedConformance('postgres', openFor);

const seed = Date.now() % 1_000_000;
test(`collection while all that it depends on changes, seed ${seed}`, async () => {
  const much = { pushed: expect.any(Number), removed: expect.any(Number), deleted: expect.any(Number) };
  expect(
    await gcRace(openFor, { seed, operations: byLength({ short: 500, usual: 3_000, long: 10_000 }) }),
  ).toMatchObject(much);
});

test(`manifests without a tag go while all that they depend on changes, seed ${seed}`, async () => {
  const much = { pushed: expect.any(Number), moved: expect.any(Number), retired: expect.any(Number) };
  expect(await untaggedRace(openFor, { seed, bursts: byLength({ short: 20, usual: 60, long: 500 }) })).toMatchObject(
    much,
  );
});

test('before a start it is told whether the server can be used, and why not', async () => {
  const proof = async (more: Partial<PostgresStore> = {}, schema = 'tried') =>
    await proveStore({ store: { ...settings(schema), ...more }, data: '', backends: [] }, {});
  expect(await proof()).toMatchObject({ proven: 'read', lacks: [expect.stringContaining('the schema tried yet')] });
  await (await open('tried'))[Symbol.asyncDispose]();
  expect(await proof()).toMatchObject({ proven: 'read', lacks: [], problem: undefined });
  const reader = { username: 'reader' };
  expect((await proof(reader, 'others')).problem?.message).toContain('may not make one');
  expect((await proof(reader)).problem).toBeDefined();
  expect((await proof({ database: 'nowhere' })).problem?.message).toContain('make the database');
});

quotaConformance('postgres', async (quotas) => {
  return (await openPostgresTags({ settings: settings(`s${++schemas}`), quotas, log })).store;
});
