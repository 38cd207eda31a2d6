/** The index's store in PostgreSQL that fails over: the primary dies, its standby takes over, and nothing that was acknowledged is lost. */

import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Digest } from '../../../core/digest.ts';
import { sqlSchema } from '../../../platform/backends/sql/config.ts';
import { connectionsTo } from '../../../platform/backends/sql/open.ts';
import { type PostgresStore, storeSchema } from '../../../platform/tags/config.ts';
import { openPostgresTags } from '../../../platform/tags/postgres/postgres.ts';
import { silentLog } from '../../../platform/telemetry/log.ts';
import { freePort } from '../../../platform/testing/ports.ts';
import { need } from '../programs.ts';
import { type DatabaseServer, databaseNever } from './servers/databases.ts';
import { asNobody, givenToNobody } from './servers/nobody.ts';
import { startPostgres } from './servers/postgres.ts';
import { Restartable, started } from './servers/server.ts';

const stack = new AsyncDisposableStack();
const soon = { timeout: 60_000, interval: 100 };
const log = silentLog();
let primary: DatabaseServer;
let standbyPort: number;
beforeAll(async () => {
  primary = await started(stack, (dir) => startPostgres(dir));
  standbyPort = await freePort();
  appendFileSync(join(primary.directory, 'data', 'pg_hba.conf'), 'host replication postgres 127.0.0.1/32 trust\n');
  await primary.asAdmin('SELECT pg_reload_conf()');
  await copied();
  // From now on a commit waits until the standby has it.
  await primary.asAdmin("ALTER SYSTEM SET synchronous_standby_names TO '*'");
  await primary.asAdmin('SELECT pg_reload_conf()');
});
afterAll(() => stack.disposeAsync());

/** A standby that follows the primary. */
async function copied(): Promise<void> {
  const dir = join(primary.directory, 'standby');
  mkdirSync(dir, { mode: 0o700 });
  givenToNobody(dir);
  const from = ['-h', '127.0.0.1', '-p', `${primary.settings().port}`, '-U', 'postgres'];
  const [program = '', ...args] = asNobody(need('pg_basebackup'), '-D', dir, '-R', '-c', 'fast', '--no-sync', ...from);
  execFileSync(program, args, { stdio: 'ignore', cwd: primary.directory });
  const at = ['-D', dir, '-p', `${standbyPort}`, '-k', dir, '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off'];
  const ready = async (): Promise<boolean> => {
    try {
      execFileSync(need('pg_isready'), ['-h', '127.0.0.1', '-p', `${standbyPort}`], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  };
  const command = asNobody(need('postgres'), ...at);
  const standby = stack.use(new Restartable({ command, log: join(primary.directory, 'standby.log'), ready }));
  await standby.start();
}

async function promoted(): Promise<void> {
  const at = { dialect: 'postgres', host: '127.0.0.1', port: standbyPort, username: 'postgres', database: 'postgres' };
  await using connections = await connectionsTo(sqlSchema.parse(at), 'admin');
  await connections.run({ text: 'SELECT pg_promote()', values: [] }, databaseNever);
}

const digest = (no: number): Digest => `sha256:${no.toString(16).padStart(64, '0')}` as Digest;

test('a standby is never read; once it is the primary it is written to, and has all that was acknowledged', async () => {
  const { port, database, username, password } = primary.settings();
  // The standby comes first in the list, and is passed over.
  const said = { kind: 'postgres', host: `127.0.0.1:${standbyPort},127.0.0.1:${port}`, database, username, password };
  const { store } = await openPostgresTags({ settings: storeSchema.parse(said) as PostgresStore, log });
  await using _ = store;
  let acknowledged = 0;
  let tried = 0;
  const write = async (): Promise<void> => {
    const no = ++tried;
    await store.putManifest('a', digest(no), { mediaType: 'm', size: 1, tags: ['x'], blobs: [], manifests: [] }, 0);
    acknowledged = no;
  };
  for (let i = 0; i < 50; i++) {
    await write();
    expect((await store.tag('a', 'x'))?.digest).toBe(digest(i + 1));
  }
  const under = Promise.allSettled(Array.from({ length: 20 }, write));
  await primary.kill();
  await under;
  expect(await store.tag('a', 'x').catch((error: unknown) => error)).toMatchObject({ code: 'UNAVAILABLE' });
  await promoted();
  await expect.poll(async () => await store.tag('a', 'x').catch(() => undefined), soon).toBeDefined();
  const now = Number.parseInt((await store.tag('a', 'x'))?.digest.slice(-8) ?? '', 16);
  expect(now).toBeGreaterThanOrEqual(acknowledged);
  expect(now).toBeLessThanOrEqual(tried);
  // Nobody follows the new one yet.
  await expect.poll(() => write().then(() => 'written', String), soon).toBe('written');
  expect((await store.tag('a', 'x'))?.digest).toBe(digest(tried));
});
