/** The tag store in SQLite, for an index that is one process: the tags' tables in a database of their own. */

import type { QuotaRule } from '../../../core/quota.ts';
import { SqliteDatabase } from '../../sqlite/database.ts';
import { GroupedTagStore } from '../grouped.ts';
import type { OutboxOptions } from '../outbox.ts';
import { SqliteDocuments } from './documents.ts';
import { SqliteDoomed } from './doomed.ts';
import { SqliteUntagged } from './retention/untagged.ts';
import { tagsSchema } from './schema.ts';
import { SqliteTables } from './tables.ts';
import { SqliteUsed } from './used.ts';

export type SqliteTagsOptions = {
  readonly file: string;
  /** After it nothing is acknowledged any more: it ends the process. */
  readonly onBroken: (error: Error) => void;
  /** Default: no repository has a backend. */
  readonly outbox?: OutboxOptions | undefined;
  /** Default: none. */
  readonly quotas?: readonly QuotaRule[] | undefined;
};

/** Opens or creates the database `file`. Throws StartError where it cannot be used. */
export function openSqliteTags(options: SqliteTagsOptions): GroupedTagStore {
  const database = new SqliteDatabase({ ...options, schema: tagsSchema });
  const others = database.connection.prepare('PRAGMA data_version');
  let seen: number | undefined;
  let looked = false;
  const tables = new SqliteTables(database.connection, options.outbox);
  return new GroupedTagStore({
    tables,
    doomed: new SqliteDoomed(database.connection),
    untagged: new SqliteUntagged(database.connection, tables),
    documents: new SqliteDocuments(database.connection),
    counted: { used: new SqliteUsed(database.connection), quotas: options.quotas },
    transaction: (apply) => database.transaction(apply),
    // By mistake only: then what is read is what was there in this turn of the event loop. (A look takes longer than an answer.)
    othersWrote() {
      if (looked) return false;
      looked = true;
      setImmediate(() => {
        looked = false;
      });
      const { data_version: now } = others.get() as { data_version: number };
      const wrote = now !== seen;
      seen = now;
      return wrote;
    },
    close: () => database[Symbol.dispose](),
  });
}
