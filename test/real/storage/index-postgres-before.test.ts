/** An index's tables in PostgreSQL as a release before made them: migrated with all that they hold, and refused by that release then. */

import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { type PostgresStore, storeSchema } from '../../../platform/tags/config.ts';
import { openPostgresTags } from '../../../platform/tags/postgres/postgres.ts';
import { migrate } from '../../../platform/tags/postgres/schema/migrate.ts';
import { postgresSteps } from '../../../platform/tags/postgres/schema/schema.ts';
import { EngineClock } from '../../../platform/tags/postgres/server/clock.ts';
import { Primary } from '../../../platform/tags/postgres/server/primary.ts';
import { silentLog } from '../../../platform/telemetry/log.ts';
import type { DatabaseServer } from './servers/databases.ts';
import { startPostgres } from './servers/postgres.ts';
import { started } from './servers/server.ts';

const stack = new AsyncDisposableStack();
let server: DatabaseServer;
beforeAll(async () => {
  server = await started(stack, (dir) => startPostgres(dir));
});
afterAll(() => stack.disposeAsync());

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;

function settingsOf(schema: string): PostgresStore {
  const { host, port, database, username, password } = server.settings();
  return storeSchema.parse({ kind: 'postgres', host, port, database, username, password, schema }) as PostgresStore;
}

/** Brings the schema to the version of a release before. */
async function made(schema: string, version: number): Promise<void> {
  await using primary = new Primary(settingsOf(schema), new EngineClock());
  await migrate(await primary.connect(), { schema, name: 'x', steps: postgresSteps.slice(0, version) });
}

test('manifests of before retention rules stay; those without a tag count from the first look', async () => {
  await made('bare', 7);
  const { database } = server.settings();
  await server.asAdmin(
    `SET search_path TO bare; INSERT INTO repos (name) VALUES ('a');
    INSERT INTO manifests VALUES (1, '${digest(1)}', 'm', 5, NULL, NULL, NULL), (1, '${digest(2)}', 'm', 6, NULL, NULL, NULL);
    INSERT INTO tags VALUES (1, 'v1', '${digest(1)}', 41, NULL)`,
    database,
  );
  await using store = (await openPostgresTags({ settings: settingsOf('bare'), log: silentLog() })).store;
  const at = { repo: 'a', n: 9, beforeMs: 1_000_000 };
  const found = await store.untagged.lookUntagged(at);
  expect(found).toEqual({ last: undefined, fresh: [digest(2)], tagged: [], due: [], waiting: 1 });
  expect(await store.untagged.retire('a', [digest(2)], { ...at, nowMs: at.beforeMs })).toEqual([]);
  await store.untagged.noteUntagged('a', found, 1_000_001);
  expect(await store.untagged.lookUntagged(at)).toMatchObject({ fresh: [], due: [] });
  expect(await store.untagged.lookUntagged({ ...at, beforeMs: 1_000_001 })).toMatchObject({ due: [digest(2)] });
});

test('what waited for a backend waits for it still, and each repository is known to have been brought to it', async () => {
  await made('one', 1);
  const { database } = server.settings();
  await server.asAdmin(
    `SET search_path TO one;
    INSERT INTO repos (name, backend) VALUES ('a', 'main'), ('b', NULL);
    INSERT INTO manifests VALUES (1, '${digest(1)}', 'm', 5, NULL, NULL, NULL);
    INSERT INTO tags VALUES (1, 'v1', '${digest(1)}', 41, NULL), (1, 'v2', '${digest(1)}', 42, NULL);
    INSERT INTO outbox VALUES (1, 'tag', 'v1', 'main', 41, '${digest(1)}', 7, 9, 20, 2, 'denied'),
      (1, 'tag', 'gone', 'main', 43, NULL, 8, 8, 0, 0, NULL);
    UPDATE identity SET tag_version = 43`,
    database,
  );
  const main = { name: 'main', kinds: ['blob', 'manifest', 'tag'] } as const;
  const later = { name: 'remote:east', kinds: ['tag'] } as const;
  const targets = { targetsOf: () => [main, later] };
  const open = { settings: settingsOf('one'), targets, nowMs: () => 100, log: silentLog() };
  await using store = (await openPostgresTags(open)).store;
  const tag = { target: 'main', repo: 'a', kind: 'tag' } as const;
  expect(await store.waiting(0, 9)).toMatchObject([
    { ...tag, name: 'gone', digest: null, sinceMs: 8, attempts: 0, dueMs: 8, cause: null, dead: false },
    { ...tag, name: 'v1', digest: digest(1), sinceMs: 7, attempts: 2, dueMs: 9, cause: 'denied', dead: false },
  ]);
  // Who held a row holds it still.
  expect(await store.claim('main', { nowMs: 15, n: 9, untilMs: 99 })).toMatchObject([{ name: 'gone' }]);
  expect(await store.backfill()).toEqual([
    { repo: 'a', target: 'remote:east' },
    { repo: 'b', target: 'main' },
    { repo: 'b', target: 'remote:east' },
  ]);
  await store.written((await store.pending({ ...tag, name: 'v1' }))!);
  expect((await store.due('main', 999, 9)).map(({ name }) => name)).toEqual(['gone']);
  expect((await store.due('remote:east', 999, 9)).map(({ name }) => name).sort()).toEqual(['v1', 'v2']);
  await expect(made('one', 1)).rejects.toThrow(`has version ${postgresSteps.length}, this process needs 1`);
});
