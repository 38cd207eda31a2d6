/** Names of writes in SQLite, with their outcomes (named.ts), the newest namesKeptMax of them and perhaps a step more. */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { forgetNamesEvery, type NamedTables, namesKeptMax } from '../named.ts';

const SQL = {
  remembered: 'SELECT told FROM named WHERE name = ?',
  remember: 'INSERT INTO named (name, told) VALUES (?, ?) RETURNING no',
  forget: 'DELETE FROM named WHERE no <= ?',
} as const;

export class SqliteNamed implements NamedTables {
  readonly #statements: Readonly<Record<keyof typeof SQL, StatementSync>>;

  constructor(db: DatabaseSync) {
    const prepared = Object.entries(SQL).map(([name, sql]) => [name, db.prepare(sql)]);
    this.#statements = Object.fromEntries(prepared) as Record<keyof typeof SQL, StatementSync>;
  }

  remembered(name: string): string | undefined {
    return (this.#statements.remembered.get(name) as { told: string } | undefined)?.told;
  }

  remember(name: string, told: string): void {
    const { no } = this.#statements.remember.get(name, told) as { no: number };
    if (no % forgetNamesEvery === 0) this.#statements.forget.run(no - namesKeptMax);
  }
}
