/**
 * A queue's own database file: opened, or, where it is damaged, set aside under another name for a person to look at, and
 * begun anew.
 *
 * Rule 1: a damaged one is never removed, and never written to.
 * Rule 2: one that was begun anew is `fresh` (table.ts) at every start until its owner says that what can be known of lost
 *         rows is in it again.
 */

import { existsSync, renameSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { StartError } from '../lifecycle/errors.ts';
import { SqliteDatabase } from '../sqlite/database.ts';
import { QueueTable, queueTableSteps } from './table.ts';

/** SQLite's codes of a file that is no database (any more), without their extension. */
const DAMAGED: ReadonlySet<number> = new Set([11, 26]);
const primaryCode = 0xff;

export type QueueFileOptions = {
  readonly file: string;
  /** What messages call it, e.g. `write-back queue`. */
  readonly name: string;
  readonly rowsMax: number;
};

export type OpenedQueue = {
  readonly db: SqliteDatabase;
  readonly table: QueueTable;
  /** Where a damaged one was put, and what is wrong with it. */
  readonly damaged: { readonly file: string; readonly why: string } | undefined;
};

/** Throws StartError. */
export function openQueueFile(o: QueueFileOptions, onBroken: (error: Error) => void): OpenedQueue {
  const why = o.file === ':memory:' ? undefined : damageOf(o.file);
  const damaged = why === undefined ? undefined : { file: setAside(o.file), why };
  const schema = {
    name: o.name,
    owner: 'a Shoal queue',
    versionTable: 'queue_version',
    steps: queueTableSteps,
  };
  const db = new SqliteDatabase({ file: o.file, schema, onBroken });
  return { db, table: new QueueTable(db.connection, { name: `the ${o.name}`, rowsMax: o.rowsMax }), damaged };
}

function damageOf(file: string): string | undefined {
  if (!existsSync(file)) return undefined;
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file);
    const told = db.prepare('PRAGMA quick_check(1)').get() as Record<string, unknown> | undefined;
    const [verdict] = Object.values(told ?? {});
    return verdict === 'ok' ? undefined : String(verdict);
  } catch (error) {
    const { errcode = 0 } = error as { errcode?: number };
    if (DAMAGED.has(errcode & primaryCode)) return (error as Error).message;
    throw new StartError(`${file} cannot be opened: ${(error as Error).message}`);
  } finally {
    db?.close();
  }
}

function setAside(file: string): string {
  let no = 1;
  while (existsSync(`${file}.damaged-${no}`)) no += 1;
  const aside = `${file}.damaged-${no}`;
  try {
    renameSync(file, aside);
    for (const part of ['-wal', '-shm']) if (existsSync(file + part)) renameSync(file + part, aside + part);
  } catch (error) {
    throw new StartError(`${file} is damaged, and cannot be moved out of the way: ${(error as Error).message}`);
  }
  return aside;
}
