/** The tag store in SQLite, for an index that is one process: the tags' tables in a database of their own. */

import { SqliteDatabase } from '../../sqlite/database.ts';
import { GroupedTagStore } from '../grouped.ts';
import type { OutboxOptions } from '../outbox.ts';
import type { TagStore } from '../store.ts';
import { tagsSchema } from './schema.ts';
import { SqliteTables } from './tables.ts';

export type SqliteTagsOptions = {
  readonly file: string;
  /** After it nothing is acknowledged any more: it ends the process. */
  readonly onBroken: (error: Error) => void;
  /** Default: no repository has a backend. */
  readonly outbox?: OutboxOptions | undefined;
};

/** Opens or creates the database `file`. Throws StartError where it cannot be used. */
export function openSqliteTags(options: SqliteTagsOptions): TagStore {
  const database = new SqliteDatabase({ ...options, schema: tagsSchema });
  return new GroupedTagStore({
    tables: new SqliteTables(database.connection, options.outbox),
    transaction: (apply) => database.transaction(apply),
    close: () => database[Symbol.dispose](),
  });
}
