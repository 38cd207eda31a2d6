/**
 * Makes a directory and those above it. Node's own `recursive` never returns where a file system says ENOENT to
 * a name below a directory that exists, as /proc does.
 */

import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** One that is there is fine. Throws the system's error. */
export function makeDirs(dir: string): void {
  const lacking: string[] = [];
  for (let path = resolve(dir); !isThere(path); path = dirname(path)) lacking.push(path);
  // Somebody else may make the same ones meanwhile.
  for (const path of lacking.reverse()) if (!isThere(path)) makeOne(path);
}

function isThere(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || found.isDirectory()) return found !== undefined;
  throw Object.assign(new Error(`ENOTDIR: not a directory, mkdir '${path}'`), {
    code: 'ENOTDIR',
    syscall: 'mkdir',
    path,
  });
}

function makeOne(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
