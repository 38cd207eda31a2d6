/** Which databases this one comes after, in SQLite: what a restore has written (restore.ts), and whether it is trusted since. */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Succession } from '../../../core/contracts/gc/succession.ts';
import { noSuccession } from '../store.ts';

/** The step of the schema that makes its table. */
export const SQLITE_SUCCESSION = `
-- Databases that this one comes after, as it was restored from a copy of theirs; trusted: it knows by now what is needed.
CREATE TABLE succession (id TEXT PRIMARY KEY, trusted INTEGER NOT NULL) WITHOUT ROWID;
`;

export class SqliteSuccession {
  readonly #all: StatementSync;
  readonly #trust: StatementSync;

  constructor(db: DatabaseSync) {
    this.#all = db.prepare('SELECT id, trusted FROM succession ORDER BY id');
    this.#trust = db.prepare('UPDATE succession SET trusted = 1');
  }

  of(): Succession {
    const rows = this.#all.all() as { id: string; trusted: number }[];
    return rows.length === 0
      ? noSuccession
      : { of: rows.map(({ id }) => id), trusted: rows.every((row) => row.trusted > 0) };
  }

  trust(): void {
    this.#trust.run();
  }
}
