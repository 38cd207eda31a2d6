/**
 * The tag store in SQLite (node:sqlite), for an index that is one process.
 *
 * Rule 1: write-ahead log, synchronous=FULL: a commit that returned is on disk.
 * Rule 2: a database of an older schema version is migrated whole or not at all; one of a newer version is left untouched.
 * Rule 3: after a failure that leaves the state of the disk unknown (I/O error, corruption) nothing more
 *   is acknowledged: `onBroken` ends the process, and the next one recovers from the log.
 */

import { DatabaseSync } from 'node:sqlite';
import { ApiError } from '../../core/contracts/errors.ts';
import { StartError } from '../lifecycle/errors.ts';
import { GroupedTagStore } from './grouped.ts';
import { migration, schemaVersion } from './schema.ts';
import { SqliteTables } from './sqlite-tables.ts';
import type { TagStore } from './store.ts';

/** Another process, a backup for example, may hold the lock for so long. */
const busyMs = 2_000;
/** Result codes of SQLite (sqlite.org/rescode.html), without their extension. */
const SQLITE = { busy: 5, locked: 6, readonly: 8, full: 13 } as const;

export type SqliteOptions = { readonly file: string; readonly onBroken: (error: Error) => void };

/** Opens or creates the database `file`. Throws StartError where it cannot be used. */
export function openSqliteTags(options: SqliteOptions): TagStore {
  const { file } = options;
  const db = open(file);
  let broken = false;
  const transaction = (apply: () => void): void => {
    if (broken) throw new ApiError('UNAVAILABLE', `the index database ${file} failed: see the log`);
    try {
      db.exec('BEGIN IMMEDIATE');
      apply();
      db.exec('COMMIT');
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      const refusal = refusalOf(error, file);
      if (refusal !== undefined) throw refusal;
      broken = true;
      options.onBroken(error as Error);
      throw error;
    }
  };
  return new GroupedTagStore({ tables: new SqliteTables(db), transaction, close: () => db.close() });
}

function open(file: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file, { timeout: busyMs });
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    migrate(db, file);
    return db;
  } catch (error) {
    db?.close();
    if (error instanceof StartError) throw error;
    throw new StartError(`index database ${file} cannot be opened: ${(error as Error).message}`);
  }
}

function migrate(db: DatabaseSync, file: string): void {
  const tables = db.prepare('SELECT count(*) AS n FROM sqlite_schema').get() as { n: number };
  const version = tables.n === 0 ? 0 : versionOf(db, file);
  const statements = migration(version);
  if (statements === undefined) {
    throw new StartError(
      `index database ${file} has schema version ${version}, this process needs ${schemaVersion}: run the version of Shoal that wrote it`,
    );
  }
  if (statements !== '') db.exec(`BEGIN IMMEDIATE; ${statements} COMMIT;`);
}

function versionOf(db: DatabaseSync, file: string): number {
  const ours = db.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'schema'").get() as { n: number };
  if (ours.n === 0)
    throw new StartError(`${file} is a database, but not of a Shoal index: choose another directory with \`data:\``);
  return (db.prepare('SELECT version FROM schema').get() as { version: number }).version;
}

/** What a client is told where the write did not happen, but the next one may. */
function refusalOf(error: unknown, file: string): ApiError | undefined {
  if (error instanceof ApiError) return error;
  const code = (error as { errcode?: number }).errcode;
  if (code === undefined) return undefined;
  const primary = code & 0xff;
  if (primary === SQLITE.full)
    return new ApiError('STORAGE_FULL', `the disk of the index database ${file} is full: make room`);
  if (primary === SQLITE.busy || primary === SQLITE.locked) {
    return new ApiError('UNAVAILABLE', `the index database ${file} is locked by another process: try again`);
  }
  if (primary === SQLITE.readonly) return new ApiError('UNAVAILABLE', `the index database ${file} is read-only`);
  return undefined;
}
