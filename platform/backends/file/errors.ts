/** What a file system's refusal means to whoever uses a backend. */

import { diskCode } from '../../store/disk/disk.ts';
import { type BackendCause, BackendError } from '../backend.ts';

type Meaning = { readonly why: BackendCause; readonly text: string };

const denied = 'give this process the right to read and write there';
const both = 'a directory cannot hold a key and others below it (a and a/b): choose keys that do not begin one another';

const meanings: Readonly<Record<string, Meaning>> = {
  ENOSPC: { why: 'full', text: 'there is no room: make some, or enlarge the file system' },
  EDQUOT: { why: 'full', text: 'the quota is used up: raise it, or make room' },
  EFBIG: { why: 'full', text: 'the file system takes no file of that size' },
  EACCES: { why: 'denied', text: denied },
  EPERM: { why: 'denied', text: denied },
  EROFS: { why: 'denied', text: 'it is mounted read-only: mount it for writing' },
  ENOENT: { why: 'missing', text: 'it is not there' },
  ENOTDIR: { why: 'refused', text: both },
  EISDIR: { why: 'refused', text: both },
  ENOTEMPTY: { why: 'refused', text: both },
  ELOOP: { why: 'refused', text: 'a symbolic link lies there, which is not followed: replace it by what it names' },
  ENAMETOOLONG: { why: 'refused', text: 'the path is longer than the file system allows: use a shorter directory' },
  ESTALE: { why: 'unavailable', text: 'the server has replaced it, or restarted: it is tried again' },
  EIO: { why: 'unavailable', text: 'the disk or the server fails: see its log' },
};
const otherwise: Meaning = { why: 'unavailable', text: 'see whether it is mounted, and its server answers' };

/** `error` of what was done to `key`, as a BackendError; what is none of the system's is handed back as it is. */
export function backendErrorOf(name: string, key: string, error: unknown): unknown {
  const code = diskCode(error);
  if (code === undefined) return error;
  const { why, text } = meanings[code] ?? otherwise;
  const object = key === '' ? '' : `${key}: `;
  return new BackendError(why, `${name}: ${object}${text} (${(error as Error).message})`, { error });
}

/** The directory itself is not there. */
export function rootMissing(name: string, root: string): BackendError {
  return new BackendError('missing', `${name}: there is no directory ${root}: mount its file system, or make it`);
}
