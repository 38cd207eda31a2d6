/**
 * A backup put in the place of an index's database.
 *
 * Rule 1: not while an index runs on it: the lock that SQLite has on a database that is open says so, and this holds it
 *   until the end, so that none starts meanwhile.
 * Rule 2: what was there is kept under another name, in one step with the change: at no moment is there none.
 * Rule 3: the restored one knows nothing of what came after the backup. So it is another database than before: it has a new
 *   identity, and its numbers go on beyond the clock. No version of a tag is used twice, nor any generation; and origins,
 *   which know the index by its identity, remove nothing by its word until a person agrees (origin/known-index.ts): it says
 *   whom it comes after, those that were put aside for it included.
 *   What was written before keeps its versions, but for what waits to be written back.
 */

import { link, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StartError } from '../../lifecycle/errors.ts';
import { BESIDE, copyDatabase, isThere, removeDatabase, settleAt, synced } from '../../sqlite/copy.ts';
import { SqliteDatabase } from '../../sqlite/database.ts';
import type { Copying } from './backup.ts';
import { openTagsData, ownedAs } from './data.ts';
import { type HeldTags, heldIn } from './held.ts';
import { tagsSchema } from './schema.ts';

/** Tags that wait to be written back: the version that a backend is told is that of whoever tells it. */
const WAIT = "SELECT o.repo, o.name FROM outbox o WHERE o.kind = 'tag'";

/** What was written here stays the old database's; what is written from now on, also to a backend, is the new one's. */
const RENEWED = [
  `UPDATE tags SET writer = (SELECT id FROM identity) WHERE writer IS NULL AND (repo, tag) NOT IN (${WAIT})`,
  `UPDATE tombstones SET writer = (SELECT id FROM identity) WHERE writer IS NULL AND (repo, tag) NOT IN (${WAIT})`,
  // Whom origins may have gone by: nobody has said yet that this one knows what is needed.
  `INSERT OR IGNORE INTO succession (id, trusted) SELECT id, 0 FROM identity`,
  'UPDATE succession SET trusted = 0',
  `UPDATE identity SET id = lower(hex(randomblob(16))),
    tag_version = max(tag_version + 1, ?1), generation = max(generation + 1, ?1)`,
  // Links that came after the backup may be forgotten: nothing goes from backends by what was noted before.
  'DELETE FROM doomed',
  // Tags that came after the backup may have been on these.
  'UPDATE manifests SET untagged = NULL WHERE untagged IS NOT NULL',
  // Manifests that came after the backup may have referred to these: whoever brings them back has a grace for it.
  'UPDATE blobs SET idle = ?1 WHERE idle IS NOT NULL',
] as const;

export type RestoreOptions = {
  readonly from: string;
  /** The index's data directory. */
  readonly data: string;
  /** A database that is there is put aside. */
  readonly replace: boolean;
  /** Of the clock on the wall. */
  readonly nowMs: number;
  readonly copying: Copying;
};

/** `aside`: where what was there is now. */
export type Restored = HeldTags & { readonly file: string; readonly aside: string | undefined };

/** Throws StartError where an index runs, something is there, or `from` is no whole database of an index. */
export async function restoreTags({ from, data, replace, nowMs, copying }: RestoreOptions): Promise<Restored> {
  if (!(await isThere(from))) throw new StartError(`there is no ${from}`);
  const file = await openTagsData(data);
  const there = await isThere(file);
  if (there && !replace) throw new StartError(`${file} is there already: --replace puts it aside`);
  if (!there) await refuseRemains(file);
  using alone = there ? held(file) : undefined;
  const former = alone === undefined ? [] : identitiesIn(alone);
  const part = `${file}.part-${process.pid}`;
  await copyDatabase(from, part, { ...copying, schema: tagsSchema });
  try {
    const said = renewed(part, nowMs, former);
    await ownedAs(dirname(file), part);
    await synced(part);
    if (!there) await settleAt(part, file);
    const aside = there ? await swapped(part, file, nowMs) : undefined;
    return { ...said, file, aside };
  } catch (error) {
    await removeDatabase(part);
    throw error;
  }
}

/** SQLite would take them for those of the database that is to come. */
async function refuseRemains(file: string): Promise<void> {
  for (const suffix of BESIDE)
    if (await isThere(`${file}${suffix}`))
      throw new StartError(
        `${file}${suffix} is there, but no ${file}: stop the index if one runs, then put that file away, too`,
      );
}

/** The lock of the whole database, until it is disposed of. Its log has gone into it then. */
function held(file: string): DatabaseSync {
  const db = new DatabaseSync(file, { timeout: 0 });
  try {
    db.exec('PRAGMA journal_mode = DELETE; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    return db;
  } catch (error) {
    db.close();
    const why = (error as Error).message;
    throw new StartError(
      /locked/.test(why)
        ? `an index runs on ${file}, or a backup of it: stop it first`
        : `${file} cannot be looked at (${why}): stop the index, put that file away with all that is called like it, and restore without --replace`,
    );
  }
}

/** Who it is, and was. Of one of an old release, or of whatever is there: what it says. */
function identitiesIn(db: DatabaseSync): string[] {
  return ['SELECT id FROM identity', 'SELECT id FROM succession'].flatMap((sql) => {
    try {
      return (db.prepare(sql).all() as { id: string }[]).map(({ id }) => id);
    } catch {
      return [];
    }
  });
}

/** Makes it a database of its own, of this version's schema. */
function renewed(file: string, nowMs: number, former: readonly string[]): HeldTags {
  using database = new SqliteDatabase({ file, schema: tagsSchema, onBroken: () => undefined });
  const { connection } = database;
  database.transaction(() => {
    const comesAfter = connection.prepare('INSERT OR IGNORE INTO succession (id, trusted) VALUES (?, 0)');
    for (const id of former) comesAfter.run(id);
    for (const sql of RENEWED) connection.prepare(sql).run(...(sql.includes('?1') ? [nowMs] : []));
  });
  const said = heldIn(connection);
  connection.exec('PRAGMA journal_mode = DELETE');
  return said;
}

async function swapped(part: string, file: string, nowMs: number): Promise<string> {
  const aside = `${file}.before-${new Date(nowMs).toISOString().replaceAll(':', '')}`;
  await link(file, aside);
  await rename(part, file);
  await synced(dirname(file));
  return aside;
}
