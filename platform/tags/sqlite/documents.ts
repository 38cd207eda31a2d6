/** Documents in SQLite. */

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { DocumentName } from '../../../core/contracts/documents/documents.ts';
import type { DocumentTables, StoredDocument } from '../documents.ts';

/** The step of the schema that makes their table. */
export const SQLITE_DOCUMENTS = `
-- Small values that all processes follow (documents.ts): body is JSON.
CREATE TABLE documents (name TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
`;

export class SqliteDocuments implements DocumentTables {
  readonly #one: StatementSync;
  readonly #add: StatementSync;
  readonly #replace: StatementSync;

  constructor(db: DatabaseSync) {
    this.#one = db.prepare('SELECT version, body AS text FROM documents WHERE name = ?');
    this.#add = db.prepare('INSERT INTO documents (name, version, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING');
    this.#replace = db.prepare('UPDATE documents SET version = ?, body = ? WHERE name = ? AND version = ?');
  }

  document(name: DocumentName): StoredDocument | undefined {
    const row = this.#one.get(name);
    return row === undefined ? undefined : ({ ...row } as StoredDocument);
  }

  putDocument(name: DocumentName, { version, text }: StoredDocument, expected: number): boolean {
    const done = expected === 0 ? this.#add.run(name, version, text) : this.#replace.run(version, text, name, expected);
    return done.changes === 1;
  }
}
