/** An index moved from each engine into PostgreSQL, out of it, and between two schemas of it; and over a real bucket. */

import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { type BackendRule, backendsShape } from '../../../platform/backends/config.ts';
import { realClock } from '../../../platform/net/clock.ts';
import { neverHeldUp } from '../../../platform/tags/bucket/faulty-bucket.fixtures.ts';
import { openBucketTags } from '../../../platform/tags/bucket/open.ts';
import { type PostgresStore, storeSchema } from '../../../platform/tags/config.ts';
import {
  type MovingEngine,
  movingConformance,
  restoredConformance,
} from '../../../platform/tags/move/moving.fixtures.ts';
import { openMoveSource, openMoveTarget } from '../../../platform/tags/move/open.ts';
import { openPostgresTags } from '../../../platform/tags/postgres/postgres.ts';
import { openTagsData } from '../../../platform/tags/sqlite/data.ts';
import { openSqliteTags } from '../../../platform/tags/sqlite/sqlite.ts';
import { silentLog } from '../../../platform/telemetry/log.ts';
import { Metrics } from '../../../platform/telemetry/metrics.ts';
import { storageServers } from './servers/all.ts';
import type { DatabaseServer } from './servers/databases.ts';
import { startPostgres } from './servers/postgres.ts';
import { type StorageServer, started } from './servers/server.ts';

const stack = new AsyncDisposableStack();
const log = silentLog();
const dir = mkdtempSync(join(tmpdir(), 'shoal-move-'));
const { signal } = new AbortController();
let server: DatabaseServer;
let gateway: StorageServer;
beforeAll(async () => {
  server = await started(stack, (at) => startPostgres(at));
  gateway = await started(stack, (storageServers['versitygw'] as (typeof storageServers)[string]).start);
});
afterAll(async () => {
  await stack.disposeAsync();
  rmSync(dir, { recursive: true });
});

const schemaSettings = (schema: string): PostgresStore => {
  const { host, port, database, username, password } = server.settings();
  const said = { kind: 'postgres', host, port, database, username, password, schema, connections: 4 };
  return storeSchema.parse(said) as PostgresStore;
};
const nowhere = { data: '', backends: [], env: {}, signal };
let places = 0;

const postgres: MovingEngine = {
  name: 'postgres',
  idle: true,
  async place() {
    const settings = schemaSettings(`s${++places}`);
    const place = { ...nowhere, store: settings };
    return {
      open: async (outbox) => (await openPostgresTags({ settings, log, targets: outbox, nowMs: outbox?.nowMs })).store,
      source: () => openMoveSource(place),
      target: (database) => openMoveTarget(place, database),
    };
  },
};

const sqlite: MovingEngine = {
  name: 'sqlite',
  idle: true,
  async place() {
    const data = join(dir, String(++places));
    const place = { ...nowhere, data, store: { kind: 'sqlite' } as const };
    return {
      async open(outbox) {
        return openSqliteTags({ file: await openTagsData(data), outbox, onBroken: (error) => Promise.reject(error) });
      },
      source: () => openMoveSource(place),
      target: (database) => openMoveTarget(place, database),
    };
  },
};

const bucket: MovingEngine = {
  name: 'versitygw',
  idle: false,
  async place() {
    const rule = backendsShape().parse([gateway.rule])[0] as BackendRule;
    const { env } = gateway;
    const prefix = `${randomUUID()}/`;
    const store = { kind: 'bucket', backend: rule.name, prefix } as const;
    const place = { ...nowhere, store, backends: [rule], env };
    return {
      open: (outbox) =>
        openBucketTags({
          rule,
          prefix,
          env,
          outbox,
          hangs: neverHeldUp,
          clock: realClock,
          log,
          metrics: new Metrics(),
        }),
      source: () => openMoveSource(place),
      target: (database) => openMoveTarget(place, database),
    };
  },
};

movingConformance(sqlite, postgres);
movingConformance(postgres, sqlite);
movingConformance(postgres, postgres);
movingConformance(postgres, bucket);
movingConformance(bucket, postgres);
for (const engine of [postgres, bucket]) restoredConformance(engine);
