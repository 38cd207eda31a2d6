/** Whether a file is a database of an index that this release can use; nothing is changed by it. */

import { DatabaseSync } from 'node:sqlite';
import { StartError } from '../../lifecycle/errors.ts';
import { schemaVersion } from '../../sqlite/database.ts';
import { tagsSchema } from './schema.ts';

/** Throws StartError where it is none. */
export function proveTagsFile(file: string): void {
  try {
    using db = new DatabaseSync(file, { readOnly: true });
    schemaVersion(db, file, tagsSchema);
  } catch (error) {
    throw error instanceof StartError ? error : new StartError(`${file} cannot be read: ${(error as Error).message}`);
  }
}
