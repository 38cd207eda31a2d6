/** One file for two owners: a name of our own for what somebody else has, or a file of our own in the same blocks. */

import { constants, copyFile, link, lstat, stat, unlink } from 'node:fs/promises';
import { diskCode, diskError } from '../disk/disk.ts';

/** `link`: a second name of the same file. `clone`: another file, in the same blocks until one of the two is written to. */
export type How = 'link' | 'clone';

/** Neither can be had: what the system said of each. */
export class NotShareable extends Error {
  readonly link: string;
  readonly clone: string;

  constructor(codes: { readonly link: string; readonly clone: string }) {
    super(`no hard link (${codes.link}) and no reflink (${codes.clone})`);
    this.link = codes.link;
    this.clone = codes.clone;
  }
}

/**
 * `to` must not be there. Throws NotShareable; what the system says where `from` is not there or cannot be read, and EINVAL
 * where it is no file: of others that says nothing.
 */
export async function shareFile(from: string, to: string): Promise<How> {
  await mustBeFile(from);
  try {
    await link(from, to);
  } catch (error) {
    return await cloneFile(from, to, error);
  }
  try {
    // It may have come in the place of what was looked at; to open a pipe would take for ever.
    await mustBeFile(to);
    return 'link';
  } catch (error) {
    await unlink(to);
    throw error;
  }
}

async function cloneFile(from: string, to: string, unlinked: unknown): Promise<'clone'> {
  const refused = diskCode(unlinked) ?? 'EUNKNOWN';
  if (refused === 'ENOENT' || refused === 'ENOSPC') throw unlinked;
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    return 'clone';
  } catch (error) {
    const code = diskCode(error) ?? 'EUNKNOWN';
    if (code === 'ENOENT' || code === 'ENOSPC') throw error;
    throw new NotShareable({ link: refused, clone: code });
  }
}

/** A link of a symbolic link would be one, too: what it leads to may change. */
async function mustBeFile(path: string): Promise<void> {
  if (!(await lstat(path)).isFile()) throw diskError('EINVAL', 'share what is no file', path);
}

/** Which file has the name: the same for each of its names. ENOENT. */
export async function identityOf(path: string): Promise<{ readonly id: string; readonly names: number }> {
  const { dev, ino, nlink } = await stat(path, { bigint: true });
  return { id: `${dev}.${ino}`, names: Number(nlink) };
}
