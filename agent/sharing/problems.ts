/** What is said where containerd's files cannot be shared. */

import { stat } from 'node:fs/promises';
import { diskCode } from '../../platform/store/disk/disk.ts';
import type { NotShareable } from '../../platform/store/shared/files.ts';

/** What to do about it, as a sentence's end. */
export function whyNot({ link, clone }: NotShareable, dir: string): string {
  const said = `layers are not shared with containerd (hard link: ${link}, reflink: ${clone})`;
  if (link === 'EXDEV')
    return `${said}: ${dir} and \`data\` are not in one mount: give the agent one that has both, such as \`data: ROOT/shoal\` in containerd's own ROOT, writable`;
  if (link === 'EPERM' || link === 'EACCES')
    return `${said}: only the owner of a file may link it (fs.protected_hardlinks): run the agent as root, or with the capability CAP_FOWNER`;
  if (link === 'EROFS') return `${said}: \`data\` is mounted read-only`;
  return `${said}: see whether \`data\` is on a file system of the host's own, the one of ${dir}`;
}

/** Bytes of the file; undefined: it cannot be looked at. */
export async function fileSize(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (diskCode(error) === undefined) throw error;
    return undefined;
  }
}
