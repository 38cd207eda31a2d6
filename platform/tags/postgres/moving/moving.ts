/**
 * An index's tables in PostgreSQL as a source, and as a target, of a move.
 *
 * Rule: while they are being filled their version is far above any (`movingAbove`): each index of any release refuses them. One
 *   move at a time fills them, under a lock of its session.
 */

import { StartError } from '../../../lifecycle/errors.ts';
import type { PostgresStore } from '../../config.ts';
import type { MoveReading, MoveSource, MoveTarget } from '../../move/engine.ts';
import { type Change, type EntryKind, KINDS } from '../../move/entries.ts';
import { migrate } from '../schema/migrate.ts';
import { movingAbove, postgresSteps, versionTable } from '../schema/schema.ts';
import { EngineClock } from '../server/clock.ts';
import type { PgConnection } from '../server/connection.ts';
import { pgWordsOf } from '../server/faults.ts';
import { Primary } from '../server/primary.ts';
import { statements } from '../server/statements.ts';
import { PostgresReading } from './read.ts';
import { PostgresMoveWrites } from './write.ts';

/** Drawn once: of the lock of whoever fills the tables. */
const lockSpace = 1_936_224_322;
/** Of one batch of changes. */
const writeMs = 120_000;
/** The tables' version while they are being filled. */
const filling = movingAbove + postgresSteps.length;

const SQL = statements('move_into', {
  there: `SELECT to_regclass($1 || '.${versionTable}') IS NOT NULL AS there`,
  version: `SELECT version FROM ${versionTable}`,
  identity: 'SELECT id FROM identity',
  lock: `SELECT pg_try_advisory_lock(${lockSpace}, hashtext($1)) AS ours`,
  held: `SELECT (SELECT count(*) FROM (SELECT 1 FROM repos LIMIT 1) AS r)
    + (SELECT count(*) FROM (SELECT 1 FROM unlinked LIMIT 1) AS u)::int AS held, generation, tag_version AS version FROM identity`,
  take: 'UPDATE identity SET id = $1',
  // Links that came from where nobody kept since when they are idle are so from now on.
  age: `UPDATE blobs SET idle = (extract(epoch FROM clock_timestamp()) * 1000)::bigint WHERE idle IS NULL
    AND NOT EXISTS (SELECT 1 FROM refs f WHERE f.target = blobs.digest AND f.repo = blobs.repo)`,
});

type State = { readonly version: number; readonly id: string };

/** Throws StartError where there is none, or it is of another release. */
export async function postgresMoveSource(settings: PostgresStore): Promise<MoveSource> {
  const primary = new Primary(settings, new EngineClock());
  const { name } = primary;
  const connection = await connected(primary);
  try {
    const state = await stateOf(connection, settings.schema);
    if (state === undefined) throw new StartError(`${name}: schema ${settings.schema} has no tables of an index`);
    if (state.version > movingAbove) throw new StartError(`${name}: a move into it was begun, and has not ended`);
    if (state.version !== postgresSteps.length)
      throw new StartError(
        `${name} has version ${state.version}, this command needs ${postgresSteps.length}: start an index of this release on it once`,
      );
    return {
      name,
      database: state.id,
      read: async () => await PostgresReading.open(await connected(primary), state.id),
      [Symbol.asyncDispose]: () => primary[Symbol.asyncDispose](),
    };
  } finally {
    await connection.end();
  }
}

async function connected(primary: Primary): Promise<PgConnection> {
  try {
    return await primary.connect();
  } catch (error) {
    throw new StartError(`${primary.name} does not answer: ${pgWordsOf(error)}`);
  }
}

async function stateOf(connection: PgConnection, schema: string): Promise<State | undefined> {
  const [found] = await connection.all<{ there: boolean }>(SQL.there, schema);
  if (found?.there !== true) return undefined;
  const [at] = await connection.all<{ version: number }>(SQL.version);
  const [one] = await connection.all<{ id: string }>(SQL.identity);
  return { version: at?.version ?? 0, id: one?.id ?? '' };
}

/** `database`: the identity of the source. Throws StartError where something else is there. */
export async function postgresMoveTarget(settings: PostgresStore, database: string): Promise<MoveTarget> {
  const primary = new Primary(settings, new EngineClock());
  const connection = await connected(primary);
  try {
    await connection.say(`SET statement_timeout TO ${writeMs}; SET idle_in_transaction_session_timeout TO 0`);
    const [lock] = await connection.all<{ ours: boolean }>(SQL.lock, settings.schema);
    if (lock?.ours !== true) throw new StartError(`${primary.name}: another move is under way there`);
    const begun = await begin(connection, { primary, settings, database });
    return new PostgresTarget({ primary, connection, database, begun });
  } catch (error) {
    await connection.end();
    throw error;
  }
}

type Beginning = { readonly primary: Primary; readonly settings: PostgresStore; readonly database: string };

/** Whether it had begun before. */
async function begin(connection: PgConnection, { primary, settings, database }: Beginning): Promise<boolean> {
  const { schema } = settings;
  const { name } = primary;
  const state = await stateOf(connection, schema);
  if (state !== undefined && state.version > movingAbove) {
    if (state.id !== database)
      throw new StartError(`${name}: a move of another index, ${state.id}, into schema ${schema} has not ended`);
    if (state.version === filling) return true;
    throw new StartError(`${name}: a move into schema ${schema} was begun by another release: drop it, and begin anew`);
  }
  if (state?.id === database)
    throw new StartError(`${name}: schema ${schema} is the very database that is to be moved: was that done already?`);
  await migrate(await connected(primary), { schema, name });
  const [found] = await connection.all<{ held: number; generation: number; version: number }>(SQL.held);
  if (found === undefined || found.held + found.generation + found.version > 0)
    throw new StartError(`${name}: schema ${schema} holds what an index knows already: name another \`store.schema\``);
  await connection.say('BEGIN');
  await connection.run(SQL.take, database);
  await connection.say(`UPDATE ${versionTable} SET version = ${filling}; COMMIT`);
  return false;
}

type Parts = {
  readonly primary: Primary;
  readonly connection: PgConnection;
  readonly database: string;
  readonly begun: boolean;
};

class PostgresTarget implements MoveTarget {
  readonly name: string;
  readonly holds: ReadonlySet<EntryKind> = new Set(KINDS);
  readonly begun: boolean;
  readonly #parts: Parts;
  readonly #writes: PostgresMoveWrites;

  constructor(parts: Parts) {
    this.name = parts.primary.name;
    this.begun = parts.begun;
    this.#parts = parts;
    this.#writes = new PostgresMoveWrites(parts.connection, parts.database);
  }

  async read(): Promise<MoveReading> {
    const { primary, database } = this.#parts;
    return await PostgresReading.open(await connected(primary), database);
  }

  async write(changes: readonly Change[]): Promise<void> {
    await this.#committed(async () => {
      // They are sent in their order, without waiting for one before the next.
      await Promise.all(changes.map((change) => this.#writes.apply(change)));
    });
  }

  async finish(): Promise<void> {
    const { connection } = this.#parts;
    const version = postgresSteps.length;
    await this.#committed(async () => {
      await connection.run(SQL.age);
      await connection.say(`UPDATE ${versionTable} SET version = ${version}`);
    });
  }

  async #committed(act: () => Promise<void>): Promise<void> {
    const { connection, primary } = this.#parts;
    try {
      await connection.within(writeMs, async () => {
        await connection.say('BEGIN');
        await act();
        const said = await connection.say('COMMIT');
        if (said !== 'COMMIT') throw new Error(`the server has answered ${said} to COMMIT`);
      });
    } catch (error) {
      throw new StartError(`${primary.name}: ${pgWordsOf(error)}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { primary, connection } = this.#parts;
    await connection.end();
    await primary[Symbol.asyncDispose]();
  }
}
