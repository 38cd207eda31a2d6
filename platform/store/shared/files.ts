/** One file for two owners: a name of our own for what somebody else has, or a file of our own in the same blocks. */

import { constants, copyFile, link, lstat, stat } from 'node:fs/promises';
import { diskCode } from '../disk/disk.ts';

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

/** `to` must not be there. Throws NotShareable; what the system says where `from` is not there or cannot be read. */
export async function shareFile(from: string, to: string): Promise<How> {
  // A link of a symbolic link would be one, too: what it leads to may change.
  if (!(await lstat(from)).isFile()) throw new NotShareable({ link: 'EINVAL', clone: 'EINVAL' });
  let refused: string;
  try {
    await link(from, to);
    return 'link';
  } catch (error) {
    refused = diskCode(error) ?? 'EUNKNOWN';
    if (refused === 'ENOENT' || refused === 'ENOSPC') throw error;
  }
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    return 'clone';
  } catch (error) {
    const code = diskCode(error) ?? 'EUNKNOWN';
    if (code === 'ENOENT' || code === 'ENOSPC') throw error;
    throw new NotShareable({ link: refused, clone: code });
  }
}

/** Which file has the name: the same for each of its names. ENOENT. */
export async function identityOf(path: string): Promise<{ readonly id: string; readonly names: number }> {
  const { dev, ino, nlink } = await stat(path, { bigint: true });
  return { id: `${dev}.${ino}`, names: Number(nlink) };
}
