/**
 * A database in SQLite copied into a file that stands alone, whatever is written to it meanwhile, by whichever process.
 *
 * Rule 1: the copy is the database as it was when the copying began, whole: a snapshot of it is held until the end, so that
 *   writes neither come in between nor make it begin anew.
 * Rule 2: its owner and schema version are looked at before, its integrity after; then it is on disk.
 * Rule 3: nothing is replaced (`settleAt`): a file gets its name once it is whole, if nobody has that name.
 */

import { access, link, open, rename, rm, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { StartError } from '../lifecycle/errors.ts';
import { type SqliteSchema, schemaVersion } from './database.ts';

/** 4 MiB: between two of them a copy may be stopped, and says how far it is. */
const pagesAtOnce = 1024;
/** What a writer may hold the lock for, where the journal is no log. */
const busyMs = 5_000;
/** What a file system without hard links says. */
const LINKLESS: ReadonlySet<string | undefined> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

export type CopyOptions = {
  readonly schema: SqliteSchema;
  /** Of all pages. */
  readonly progress?: ((done: number, all: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
};

/** `to` must not be there. Throws StartError where `from` is not the owner's, or is damaged; then there is no `to`. */
export async function copyDatabase(from: string, to: string, options: CopyOptions): Promise<void> {
  // Says what is wrong with the place, and makes it ours.
  await (await open(to, 'wx')).close();
  try {
    await copied(from, to, options);
    alone(to, from);
    await synced(to);
  } catch (error) {
    await removeDatabase(to);
    throw error;
  }
}

async function copied(from: string, to: string, { schema, progress, signal }: CopyOptions): Promise<void> {
  using source = readable(from);
  if (schemaVersion(source, from, schema) === 0) throw new StartError(`${from} is empty: there is nothing to copy`);
  source.exec('BEGIN');
  // A transaction has its snapshot from its first read on.
  source.prepare('SELECT count(*) FROM sqlite_schema').get();
  await backup(source, to, {
    rate: pagesAtOnce,
    progress({ totalPages, remainingPages }) {
      signal?.throwIfAborted();
      progress?.(totalPages - remainingPages, totalPages);
    },
  });
}

function readable(file: string): DatabaseSync {
  try {
    const db = new DatabaseSync(file, { readOnly: true, timeout: busyMs });
    db.prepare('SELECT count(*) FROM sqlite_schema').get();
    return db;
  } catch (error) {
    throw new StartError(`${file} cannot be read as a database: ${(error as Error).message}`);
  }
}

/** Looks at every page of it, and leaves one file that needs no log beside it. */
function alone(file: string, from: string): void {
  using db = new DatabaseSync(file);
  const [first] = db.prepare('PRAGMA integrity_check(1)').all() as { integrity_check: string }[];
  if (first?.integrity_check !== 'ok')
    throw new StartError(`${from} is damaged, and was not copied: ${first?.integrity_check ?? 'it says nothing'}`);
  db.exec('PRAGMA journal_mode = DELETE');
}

/** `file` is called `name` from now on, also after a crash. Throws StartError where there is one of that name. */
export async function settleAt(file: string, name: string): Promise<void> {
  try {
    await link(file, name);
    await unlink(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' || (await isThere(name)))
      throw new StartError(`${name} is there already, and is not replaced: name another file`);
    if (!LINKLESS.has(code)) throw error;
    await rename(file, name);
  }
  await synced(dirname(name));
}

export async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

/** With whatever SQLite has left beside it. */
export async function removeDatabase(file: string): Promise<void> {
  for (const suffix of ['', ...BESIDE]) await rm(`${file}${suffix}`, { force: true });
}

/** What SQLite writes beside a database: it belongs to it, and to no other one of that name. */
export const BESIDE = ['-wal', '-shm', '-journal'] as const;

/** A file, or the names in a directory. */
export async function synced(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
