/**
 * A copy of an index's database, made while the index runs.
 *
 * Rule: it is there whole, or not at all: what a killed backup leaves is called `.part-…`, and is nobody's.
 */

import { DatabaseSync } from 'node:sqlite';
import { StartError } from '../../lifecycle/errors.ts';
import { type CopyOptions, copyDatabase, isThere, removeDatabase, settleAt } from '../../sqlite/copy.ts';
import { type HeldTags, heldIn } from './held.ts';
import { tagsSchema } from './schema.ts';

export type Copying = Omit<CopyOptions, 'schema'>;

/** Throws StartError where `to` is there, or `from` is no whole database of an index. */
export async function backUpTags(from: string, to: string, copying: Copying): Promise<HeldTags> {
  // Settling looks as well; nobody should wait for that.
  if (await isThere(to)) throw new StartError(`${to} is there already, and is not replaced: name another file`);
  if (!(await isThere(from))) throw new StartError(`there is no ${from}: has an index run here?`);
  const part = `${to}.part-${process.pid}`;
  await copyDatabase(from, part, { ...copying, schema: tagsSchema });
  try {
    using copy = new DatabaseSync(part, { readOnly: true });
    const held = heldIn(copy);
    await settleAt(part, to);
    return held;
  } catch (error) {
    await removeDatabase(part);
    throw error;
  }
}
