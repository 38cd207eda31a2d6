/**
 * The tables of a database, made or brought to our version.
 *
 * Rule 1: one process at a time does it, under a lock of the session (`pg_advisory_lock`): two that make the same table at
 *   once both fail, whatever they say of what exists.
 * Rule 2: whole or not at all: each step is a transaction with its version. Tables of a newer version, or of somebody
 *   else's, are left untouched and refused with a StartError that says what to do.
 */

import { StartError } from '../../../lifecycle/errors.ts';
import type { PgConnection } from '../server/connection.ts';
import { pgWordsOf } from '../server/faults.ts';
import { statements } from '../server/statements.ts';
import { movingAbove, postgresSteps, versionTable } from './schema.ts';

/** `gen_random_uuid`, and what else the tables need. */
export const releaseMin = 130_000;
/** Drawn once: of the lock of whoever makes the tables. */
const lockSpace = 1_936_224_321;
/** How long another one that does it is waited for. */
const migrateMs = 60_000;

const SQL = statements('migrate', {
  lock: `SELECT pg_advisory_lock(${lockSpace}, hashtext($1))`,
  schema: 'SELECT to_regnamespace($1) IS NOT NULL AS there',
  // Of an owner whose name ours is as well the schema may be.
  tables: `SELECT c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') ORDER BY (c.relname = '${versionTable}') DESC, c.relname LIMIT 1`,
  release: `SELECT current_setting('server_version_num')::int AS no`,
  version: `SELECT version FROM ${versionTable}`,
  identity: 'SELECT id FROM identity',
});

/** The identity of the database. `connection` is of no use afterwards: its lock ends with it. */
export async function migrate(
  connection: PgConnection,
  { schema, name, steps = postgresSteps }: { schema: string; name: string; steps?: readonly string[] },
): Promise<string> {
  try {
    return await connection.within(migrateMs, async () => {
      const [release] = await connection.all<{ no: number }>(SQL.release);
      if (release !== undefined && release.no < releaseMin)
        throw new StartError(`${name} is of release ${release.no / 10_000}: it needs ${releaseMin / 10_000} or newer`);
      await connection.say(`SET statement_timeout TO ${migrateMs}; SET lock_timeout TO ${migrateMs}`);
      await connection.all(SQL.lock, schema);
      await make(connection, { schema, name, steps });
      return (await connection.all<{ id: string }>(SQL.identity))[0]?.id ?? '';
    });
  } catch (error) {
    if (error instanceof StartError) throw error;
    throw new StartError(`${name}: its tables cannot be made or read: ${pgWordsOf(error)}`);
  } finally {
    await connection.end();
  }
}

async function make(
  connection: PgConnection,
  { schema, name, steps }: { schema: string; name: string; steps: readonly string[] },
): Promise<void> {
  const [found] = await connection.all<{ there: boolean }>(SQL.schema, schema);
  if (found?.there !== true) await connection.say(`CREATE SCHEMA ${schema}`);
  const [table] = await connection.all<{ name: string }>(SQL.tables, schema);
  if (table !== undefined && table.name !== versionTable)
    throw new StartError(
      `${name}: schema ${schema} holds tables that are not Shoal's (${table.name}): name another with \`store.schema\``,
    );
  const [at] = table === undefined ? [] : await connection.all<{ version: number }>(SQL.version);
  const version = at?.version ?? 0;
  if (version > movingAbove)
    throw new StartError(
      `${name}: a move into schema ${schema} has not ended: give \`shoal index move\` again, which goes on with it`,
    );
  if (version > steps.length)
    throw new StartError(
      `${name}: schema ${schema} has version ${version}, this process needs ${steps.length}: run the version of Shoal that wrote it`,
    );
  for (const [i, step] of steps.entries()) {
    if (i < version) continue;
    const begin =
      i === 0 ? `CREATE TABLE ${versionTable} (version integer NOT NULL); INSERT INTO ${versionTable} VALUES (0);` : '';
    const said = await connection.say(`BEGIN; ${begin} ${step}; UPDATE ${versionTable} SET version = ${i + 1}; COMMIT`);
    if (said !== 'COMMIT') throw new Error(`the server has answered ${said} to COMMIT`);
  }
}
