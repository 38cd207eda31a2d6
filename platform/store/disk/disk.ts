/**
 * What the store needs of a disk. The real one (real-disk.ts) and the faulty one (faulty-disk.ts)
 * decide the same rules, so that fault injection runs the code that runs in production.
 *
 * Rule 1: what was written is safe from a crash only after `sync` of its file; a name (created,
 *   renamed, removed) only after `syncDirectory` of its directory. A rename is atomic.
 * Rule 2: a refusal is an Error with the system's `code` (ENOSPC, EIO, ENOENT, …), as Node's are.
 */

/** `read` and `update` want the file to exist; `create` makes it anew and empties what was there. */
export type OpenMode = 'read' | 'update' | 'create';

/** `id` differs once another file has the name, or somebody wrote to this one since. */
export type FileState = { readonly size: number; readonly id: string };

export interface Disk {
  /** A file descriptor; the caller closes it. */
  open(path: string, mode: OpenMode): Promise<number>;
  close(fd: number): Promise<void>;
  /** Bytes read; fewer than `into.length` only at the end of the file. */
  read(fd: number, into: Uint8Array, position: number): Promise<number>;
  /** Writes all of `bytes`. */
  write(fd: number, bytes: Uint8Array, position: number): Promise<void>;
  /** Syncs the file's bytes and length: they survive a crash. */
  sync(fd: number): Promise<void>;
  size(fd: number): Promise<number>;
  /** Of what bears the name now, whatever is open. ENOENT where nothing does. */
  stat(path: string): Promise<FileState>;
  /** A number that differs once somebody wrote to the file since. A disk that cannot tell has neither of these functions. */
  stamp?(fd: number): Promise<number>;
  /** Of a disk in memory, for which nobody ever waits. */
  stampNow?(fd: number): number;
  /** Lengths of files of the directory, in the order of their names: a start asks for a million. Absent: by `stat`, each. */
  sizes?(dir: string, names: readonly string[]): Promise<readonly number[]>;
  /** Replaces what bears the new name. */
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** A directory that exists already is fine; its parent must exist (ENOENT). */
  mkdir(path: string): Promise<void>;
  /** Names in the directory, in no order. */
  list(path: string): Promise<string[]>;
  /** Syncs the directory's names. */
  syncDirectory(path: string): Promise<void>;
  /** Bytes that can still be written. */
  freeBytes(path: string): Promise<number>;
  /** The same now, and all that it could hold if nothing else was there. */
  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>;
  /** Takes the lock file for this process until the returned function is called or the process ends, however it ends. Code EBUSY: another has it. */
  lock(path: string): Promise<() => Promise<void>>;
}

/** The system's code of a disk's refusal, or undefined where `error` is something else. */
export function diskCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined;
  // Node's own (ERR_…) and the API's codes say something else.
  return /^E[A-Z0-9]+$/.test(error.code) ? error.code : undefined;
}

/** A refusal as Node's `fs` makes them. */
export function diskError(code: string, action: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${action} '${path}'`), { code });
}

/** The file's bytes, or undefined where there is none. */
export async function readWhole(
  disk: Pick<Disk, 'open' | 'close' | 'read' | 'size'>,
  path: string,
): Promise<Uint8Array | undefined> {
  let fd: number;
  try {
    fd = await disk.open(path, 'read');
  } catch (error) {
    if (diskCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const bytes = new Uint8Array(await disk.size(fd));
    return bytes.subarray(0, await disk.read(fd, bytes, 0));
  } finally {
    await disk.close(fd);
  }
}

/** Writes a new file, or replaces the one there; and syncs it where `synced`. */
export async function writeWhole(
  disk: Disk,
  path: string,
  content: { bytes: Uint8Array; synced: boolean },
): Promise<void> {
  const fd = await disk.open(path, 'create');
  try {
    if (content.bytes.length > 0) await disk.write(fd, content.bytes, 0);
    if (content.synced) await disk.sync(fd);
  } finally {
    await disk.close(fd);
  }
}

/** Removes the file; one that is not there is fine. */
export async function unlinkIfThere(disk: Pick<Disk, 'unlink'>, path: string): Promise<void> {
  try {
    await disk.unlink(path);
  } catch (error) {
    if (diskCode(error) !== 'ENOENT') throw error;
  }
}

/** Makes the directory and those above it that are missing; their names are synced. */
export async function makeDirectories(disk: Disk, path: string): Promise<void> {
  const parent = path.slice(0, path.lastIndexOf('/'));
  try {
    await disk.mkdir(path);
  } catch (error) {
    if (diskCode(error) !== 'ENOENT' || parent === '') throw error;
    await makeDirectories(disk, parent);
    await disk.mkdir(path);
  }
  if (parent !== '') await disk.syncDirectory(parent);
}
