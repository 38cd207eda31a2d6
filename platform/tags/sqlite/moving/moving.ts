/**
 * An index's database in SQLite as a source, and as a target, of a move.
 *
 * Rule: what is being filled is `tags.db.moving`, which no index opens; it gets its name once it is whole, if nobody has it.
 *   One move at a time fills it: the lock is SQLite's own on a file beside it, which ends with the process.
 */

import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StartError } from '../../../lifecycle/errors.ts';
import { isThere, settleAt, synced } from '../../../sqlite/copy.ts';
import { SqliteDatabase, schemaVersion } from '../../../sqlite/database.ts';
import type { MoveReading, MoveSource, MoveTarget } from '../../move/engine.ts';
import { type Change, type EntryKind, KINDS } from '../../move/entries.ts';
import { openTagsData, ownedAs, tagsFile } from '../data.ts';
import { tagsSchema } from '../schema.ts';
import { SqliteReading } from './read.ts';
import { SqliteMoveWrites } from './write.ts';

/** Links that came from where nobody kept since when they are idle are so from now on. */
const AGED = `UPDATE blobs SET idle = ? WHERE idle IS NULL
  AND NOT EXISTS (SELECT 1 FROM refs f WHERE f.target = blobs.digest AND f.repo = blobs.repo)`;
/** Whatever a move brings first is there, or nothing is. */
const HELD = 'SELECT id, (SELECT count(*) FROM repos) + (SELECT count(*) FROM unlinked) AS held FROM identity';

/** Throws StartError where there is none, or it is of another release. */
export async function sqliteMoveSource(data: string): Promise<MoveSource> {
  const file = tagsFile(data);
  if (!(await isThere(file))) throw new StartError(`there is no ${file}: has an index run here?`);
  return {
    name: file,
    database: identityOf(file),
    read: async () => new SqliteReading(file),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

function identityOf(file: string): string {
  using db = new DatabaseSync(file, { readOnly: true });
  const version = schemaVersion(db, file, tagsSchema);
  if (version < tagsSchema.steps.length)
    throw new StartError(`${file} is of an older release: start an index of this one on it once`);
  return (db.prepare('SELECT id FROM identity').get() as { id: string }).id;
}

/** `database`: the identity of the source. Throws StartError where something else is there. */
export async function sqliteMoveTarget(data: string, database: string): Promise<MoveTarget> {
  const file = await openTagsData(data);
  if (await isThere(file)) throw new StartError(takenWords(file, database));
  const part = `${file}.moving`;
  const lock = locked(`${part}-lock`);
  try {
    const begun = await isThere(part);
    const filled = new SqliteDatabase({ file: part, schema: tagsSchema, onBroken: () => undefined });
    return new SqliteTarget({ file, part, lock, filled, begun, database });
  } catch (error) {
    lock.close();
    throw error;
  }
}

function takenWords(file: string, database: string): string {
  let words = 'a move fills an empty place only: put it away, or name another `data`';
  try {
    if (identityOf(file) === database) words = 'and is the very database that is to be moved: was that done already?';
  } catch {
    // Whatever it is, it is there.
  }
  return `${file} is there already, ${words}`;
}

function locked(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: 0 });
  try {
    db.exec('BEGIN EXCLUSIVE');
    return db;
  } catch (error) {
    db.close();
    throw new StartError(`${file}: another move is under way there (${(error as Error).message})`);
  }
}

type Parts = {
  readonly file: string;
  readonly part: string;
  readonly lock: DatabaseSync;
  readonly filled: SqliteDatabase;
  readonly begun: boolean;
  readonly database: string;
};

class SqliteTarget implements MoveTarget {
  readonly name: string;
  readonly holds: ReadonlySet<EntryKind> = new Set(KINDS);
  readonly begun: boolean;
  readonly #parts: Parts;
  readonly #writes: SqliteMoveWrites;

  constructor(parts: Parts) {
    const { file, part, filled, begun, database } = parts;
    this.name = file;
    this.begun = begun;
    this.#parts = parts;
    const { connection } = filled;
    const [{ id, held }] = connection.prepare(HELD).all() as [{ id: string; held: number }];
    if (id !== database && held > 0)
      throw new StartError(`${part} is of a move of another index, ${id}: remove it if nobody goes on with that`);
    filled.transaction(() => connection.prepare('UPDATE identity SET id = ?').run(database));
    this.#writes = new SqliteMoveWrites(connection, database);
  }

  async read(): Promise<MoveReading> {
    return new SqliteReading(this.#parts.part);
  }

  async write(changes: readonly Change[]): Promise<void> {
    this.#parts.filled.transaction(() => {
      for (const change of changes) this.#writes.apply(change);
    });
  }

  async finish(): Promise<void> {
    const { file, part, filled } = this.#parts;
    filled.transaction(() => filled.connection.prepare(AGED).run(Date.now()));
    filled.connection.exec('PRAGMA journal_mode = DELETE');
    filled[Symbol.dispose]();
    await ownedAs(dirname(file), part);
    await synced(part);
    await settleAt(part, file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { part, lock, filled } = this.#parts;
    if (filled.connection.isOpen) filled[Symbol.dispose]();
    lock.close();
    await rm(`${part}-lock`, { force: true });
  }
}
