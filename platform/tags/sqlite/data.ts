/** The data directory of an index whose engine is SQLite: its format, and the database's name in it. */

import { chown, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { openDataDir } from '../../lifecycle/data-dir.ts';

/** Format of the data directory; the database in it has a schema version of its own. */
const dataVersion = 1;

export function tagsFile(data: string): string {
  return join(data, 'tags.db');
}

/** The database's file in it, be it there or not. Throws StartError where the directory is another one's. */
export async function openTagsData(data: string): Promise<string> {
  await openDataDir(data, 'index', dataVersion);
  return tagsFile(data);
}

/** Whoever makes a file in it may be root; the index is whoever has the directory. */
export async function ownedAs(dir: string, file: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(dir);
  await chown(file, uid, gid);
}
