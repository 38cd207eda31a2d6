/**
 * A database file of one process in SQLite (node:sqlite), whoever's tables it holds: opened, migrated, written to.
 *
 * Rule 1: write-ahead log, synchronous=FULL: a transaction that returned is on disk.
 * Rule 2: a database of an older schema version is migrated whole or not at all; one of a newer version, or of another
 *   owner, is left untouched and refused with a StartError that names the file and the remedy.
 * Rule 3: what a write is refused for (no room, locked, read-only) is an ApiError, and nothing of it happened. After any
 *   other failure the state of the disk is unknown (I/O error, corruption): nothing more is acknowledged, and `onBroken`
 *   ends the process; the next one recovers from the log.
 * Rule 4: one that was replaced while it was being opened is not used: what is written to it would be lost with it.
 */

import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { ApiError } from '../../core/contracts/errors.ts';
import { StartError } from '../lifecycle/errors.ts';

/** Another process, a backup for example, may hold the lock for so long. */
const busyMsDefault = 2_000;
/** Result codes of SQLite (sqlite.org/rescode.html), without their extension. */
const SQLITE = { busy: 5, locked: 6, readonly: 8, full: 13 } as const;
const primaryCode = 0xff;

/** Whose tables a database holds, and how they came to be. */
export type SqliteSchema = {
  /** What messages call the database: `index database`. */
  readonly name: string;
  /** Whose it is: `a Shoal index`. */
  readonly owner: string;
  /** The table with its version, of one row; no other owner has one of this name. Made here. */
  readonly versionTable: string;
  /** What makes a database of each version one of the next: the first makes one of version 1 of an empty file. */
  readonly steps: readonly string[];
};

export type SqliteOptions = {
  readonly file: string;
  readonly schema: SqliteSchema;
  readonly onBroken: (error: Error) => void;
  /** How long a lock of another process is waited for. */
  readonly busyMs?: number;
};

export class SqliteDatabase implements Disposable {
  readonly connection: DatabaseSync;
  readonly #options: SqliteOptions;
  #broken = false;

  /** Opens or creates the database, and brings it to the schema's version. Throws StartError where it cannot be used. */
  constructor(options: SqliteOptions) {
    this.#options = options;
    this.connection = opened(options);
  }

  /** Runs `apply` in one transaction, on disk once this returns. Throws ApiError where it did not happen. */
  transaction(apply: () => void): void {
    if (this.#broken) throw new ApiError('UNAVAILABLE', `${this.#named} failed: see the log`);
    const { connection } = this;
    try {
      connection.exec('BEGIN IMMEDIATE');
      apply();
      connection.exec('COMMIT');
    } catch (error) {
      if (connection.isTransaction) connection.exec('ROLLBACK');
      const refusal = this.#refusalOf(error);
      if (refusal !== undefined) throw refusal;
      this.#broken = true;
      this.#options.onBroken(error as Error);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.connection.close();
  }

  get #named(): string {
    return `the ${this.#options.schema.name} ${this.#options.file}`;
  }

  /** What a client is told where the write did not happen, but the next one may. */
  #refusalOf(error: unknown): ApiError | undefined {
    if (error instanceof ApiError) return error;
    const code = (error as { errcode?: number }).errcode;
    if (code === undefined) return undefined;
    switch (code & primaryCode) {
      case SQLITE.full:
        return new ApiError('STORAGE_FULL', `the disk of ${this.#named} is full: make room`);
      case SQLITE.busy:
      case SQLITE.locked:
        return new ApiError('UNAVAILABLE', `${this.#named} is locked by another process: try again`);
      case SQLITE.readonly:
        return new ApiError('UNAVAILABLE', `${this.#named} is read-only`);
      default:
        return undefined;
    }
  }
}

function opened({ file, schema, busyMs = busyMsDefault }: SqliteOptions): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    const before = identityOf(file);
    db = new DatabaseSync(file, { timeout: busyMs });
    // Refused before anything is written: setting the journal's mode writes, too.
    schemaVersion(db, file, schema);
    // Whoever had it locked may have put another one in its place.
    refuseReplaced(file, before, schema);
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    migrate(db, file, schema);
    // From here on the lock that is ours while it is open keeps others from it.
    refuseReplaced(file, before, schema);
    return db;
  } catch (error) {
    db?.close();
    if (error instanceof StartError) throw error;
    throw new StartError(`${schema.name} ${file} cannot be opened: ${(error as Error).message}`);
  }
}

function refuseReplaced(file: string, before: string | undefined, { name }: SqliteSchema): void {
  if (before !== undefined && before !== identityOf(file))
    throw new StartError(`${name} ${file} was replaced while it was being opened: start again`);
}

/** Of the file that has the name now. */
function identityOf(file: string): string | undefined {
  const found = statSync(file, { bigint: true, throwIfNoEntry: false });
  return found && `${found.dev} ${found.ino}`;
}

function migrate(db: DatabaseSync, file: string, schema: SqliteSchema): void {
  const { steps, versionTable } = schema;
  if (schemaVersion(db, file, schema) === steps.length) return;
  db.exec('BEGIN IMMEDIATE');
  // Read once more, under the lock: another process may have migrated it meanwhile.
  const version = schemaVersion(db, file, schema);
  if (version === 0)
    db.exec(`CREATE TABLE ${versionTable} (version INTEGER NOT NULL); INSERT INTO ${versionTable} VALUES (0)`);
  for (const step of steps.slice(version)) db.exec(step);
  db.exec(`UPDATE ${versionTable} SET version = ${steps.length}`);
  db.exec('COMMIT');
}

/** 0: there is nothing in it yet. Throws StartError where it is not this owner's, or of a version that we do not know. */
export function schemaVersion(
  db: DatabaseSync,
  file: string,
  { name, owner, versionTable, steps }: SqliteSchema,
): number {
  const all = db.prepare('SELECT name FROM sqlite_schema').all() as { name: string }[];
  if (all.length === 0) return 0;
  if (!all.some((table) => table.name === versionTable))
    throw new StartError(`${file} is a database, but not of ${owner}: choose another directory with \`data:\``);
  const { version } = db.prepare(`SELECT version FROM ${versionTable}`).get() as { version: number };
  if (version < 0 || version > steps.length)
    throw new StartError(
      `${name} ${file} has schema version ${version}, this process needs ${steps.length}: run the version of Shoal that wrote it`,
    );
  return version;
}
