/**
 * A component's data directory, with the file `version` that guards its format: `ROLE N`.
 *
 * Rule: a directory of another role or version is left untouched; the error says what it is and what to do.
 */

import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StartError } from './errors.ts';
import { makeDirs } from './make-dirs.ts';

/** Makes sure that `dir` exists and has this format; creates the version file in an empty directory. */
export async function openDataDir(dir: string, role: string, version: number): Promise<void> {
  const expected = `${role} ${version}`;
  try {
    makeDirs(dir);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StartError(`data directory ${dir}: cannot be created (${code}): choose another with \`data:\``);
  }
  const file = join(dir, 'version');
  const found = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new StartError(`data directory ${dir}: \`version\` cannot be read (${error.code})`);
  });
  if (found?.trim() === expected) return;
  if (found !== undefined) {
    throw new StartError(
      `data directory ${dir} is of format "${found.trim().slice(0, 40)}", this process needs "${expected}": choose another with \`data:\``,
    );
  }
  const others = (await readdir(dir)).filter((name) => name !== 'version.new');
  if (others.length > 0) {
    throw new StartError(
      `data directory ${dir} holds files that are not Shoal's (${others[0]}): choose an empty one with \`data:\``,
    );
  }
  await writeFile(`${file}.new`, `${expected}\n`).catch((error: NodeJS.ErrnoException) => {
    throw new StartError(`data directory ${dir}: cannot be written (${error.code})`);
  });
  await rename(`${file}.new`, file);
}
