/**
 * A file of SQLite, by Node itself: what Kraken has for trials.
 *
 * Rule: a statement runs in this thread. It is short, as is the wait for whoever has the file locked: who finds it locked
 *       tries later.
 */

import { DatabaseSync } from 'node:sqlite';
import type { SqliteSettings } from './config.ts';
import type { SqlConnections, SqlResult, SqlRow, Statement } from './connections.ts';
import { sqliteBusyMs } from './limits.ts';

export class SqliteConnections implements SqlConnections {
  readonly #settings: SqliteSettings;
  #database: DatabaseSync | undefined;

  constructor(settings: SqliteSettings) {
    this.#settings = settings;
  }

  async run({ text, values }: Statement, signal: AbortSignal): Promise<SqlResult> {
    signal.throwIfAborted();
    const statement = this.#opened().prepare(text);
    const bound = values.map((value) => (value instanceof Date ? value.toISOString() : value));
    if (statement.columns().length > 0) {
      const rows = statement.all(...bound) as SqlRow[];
      return { rows, found: rows.length };
    }
    return { rows: [], found: Number(statement.run(...bound).changes) };
  }

  async undone(statements: readonly Statement[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const database = this.#opened();
    database.exec('BEGIN IMMEDIATE');
    try {
      for (const statement of statements) await this.run(statement, signal);
    } finally {
      database.exec('ROLLBACK');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#database?.close();
    this.#database = undefined;
  }

  /** Where it cannot be opened now, it is tried again the next time. */
  #opened(): DatabaseSync {
    this.#database ??= new DatabaseSync(this.#settings.file, { timeout: sqliteBusyMs });
    return this.#database;
  }
}
