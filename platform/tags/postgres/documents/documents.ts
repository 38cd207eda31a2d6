/** Documents in PostgreSQL. */

import type { DocumentName } from '../../../../core/contracts/documents/documents.ts';
import type { StoredDocument } from '../../documents.ts';
import { type Querying, statements } from '../server/statements.ts';

/** The step of the schema that makes their table. */
export const POSTGRES_DOCUMENTS = `
-- Small values that all processes follow (documents.ts): body is JSON.
CREATE TABLE documents (name text COLLATE "C" PRIMARY KEY, version bigint NOT NULL, body text NOT NULL);
`;

const SQL = statements('documents', {
  one: 'SELECT version, body AS text FROM documents WHERE name = $1',
  add: 'INSERT INTO documents (name, version, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
  replace: 'UPDATE documents SET version = $2, body = $3 WHERE name = $1 AND version = $4',
});

export async function documentOf(asking: Querying, name: DocumentName): Promise<StoredDocument | undefined> {
  return (await asking.all<StoredDocument>(SQL.one, name))[0];
}

export async function putDocument(
  asking: Querying,
  ...[name, { version, text }, expected]: [DocumentName, StoredDocument, number]
): Promise<boolean> {
  const changed =
    expected === 0
      ? await asking.run(SQL.add, name, version, text)
      : await asking.run(SQL.replace, name, version, text, expected);
  return changed === 1;
}
