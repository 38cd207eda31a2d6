/** Which databases this one comes after, in PostgreSQL: it was moved from one that was restored from a backup. */

import type { Succession } from '../../../core/contracts/gc/succession.ts';
import { noSuccession } from '../store.ts';
import { type Querying, statements } from './server/statements.ts';

/** The step of the schema that makes its table. */
export const POSTGRES_SUCCESSION = `
-- Databases that this one comes after, as it was moved from one that was restored; trusted: it knows by now what is needed.
CREATE TABLE succession (id text COLLATE "C" PRIMARY KEY, trusted boolean NOT NULL);
`;

const SQL = statements('succession', {
  all: 'SELECT id, trusted FROM succession ORDER BY id',
  trust: 'UPDATE succession SET trusted = true',
});

export async function successionOf(asking: Querying): Promise<Succession> {
  const rows = await asking.all<{ id: string; trusted: boolean }>(SQL.all);
  return rows.length === 0
    ? noSuccession
    : { of: rows.map(({ id }) => id), trusted: rows.every(({ trusted }) => trusted) };
}

export async function trustSuccession(asking: Querying): Promise<void> {
  await asking.run(SQL.trust);
}
