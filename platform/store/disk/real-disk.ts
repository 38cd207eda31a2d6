/** The machine's disk, through Node's `fs`. Descriptors are plain numbers, since worker threads use them too. */

import {
  close,
  fdatasync,
  fstat,
  fsync,
  mkdir,
  open,
  read,
  readdir,
  rename,
  stat,
  statfs,
  unlink,
  write,
} from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { type Disk, diskCode, diskError, type FileState, type OpenMode } from './disk.ts';

const FLAGS: Record<OpenMode, string> = { read: 'r', update: 'r+', create: 'w+' };
/** SQLite's codes for a lock that another holds. */
const SQLITE_BUSY = 5;

const openFile = promisify(open);
const closeFile = promisify(close);
const readAt = promisify(read);
const writeAt = promisify(write);
const syncData = promisify(fdatasync);
const syncAll = promisify(fsync);
const statOf = promisify(fstat);
const statNamed = promisify(stat);
const renameFile = promisify(rename);
const unlinkFile = promisify(unlink);
const makeDirectory = promisify(mkdir);
const listDirectory = promisify(readdir);
const statFilesystem = promisify(statfs);

/** How long the free space of the disk is taken for what it was. */
const freeMs = 50;

export class RealDisk implements Disk {
  #free = { path: '', atMs: Number.NEGATIVE_INFINITY, bytes: 0 };

  async open(path: string, mode: OpenMode): Promise<number> {
    return await openFile(path, FLAGS[mode], 0o644);
  }

  async close(fd: number): Promise<void> {
    await closeFile(fd);
  }

  async read(fd: number, into: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < into.length) {
      const { bytesRead } = await readAt(fd, into, done, into.length - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  async write(fd: number, bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await writeAt(fd, bytes, done, bytes.length - done, position + done);
      done += bytesWritten;
    }
  }

  async sync(fd: number): Promise<void> {
    await syncData(fd);
  }

  async size(fd: number): Promise<number> {
    return (await statOf(fd)).size;
  }

  async stat(path: string): Promise<FileState> {
    const { dev, ino, mtimeMs, size } = await statNamed(path);
    return { size, id: `${dev}.${ino}.${mtimeMs}.${size}` };
  }

  async stamp(fd: number): Promise<number> {
    return (await statOf(fd)).mtimeMs;
  }

  async sizes(dir: string, names: readonly string[]): Promise<readonly number[]> {
    const { sizesIn } = await import('./sizes.ts');
    return await sizesIn(dir, names);
  }

  async rename(from: string, to: string): Promise<void> {
    await renameFile(from, to);
  }

  async unlink(path: string): Promise<void> {
    // Whoever made room looks whether there is room now.
    this.#free.atMs = Number.NEGATIVE_INFINITY;
    await unlinkFile(path);
    this.#free.atMs = Number.NEGATIVE_INFINITY;
  }

  async mkdir(path: string): Promise<void> {
    try {
      await makeDirectory(path);
    } catch (error) {
      if (diskCode(error) !== 'EEXIST') throw error;
    }
  }

  async list(path: string): Promise<string[]> {
    return await listDirectory(path);
  }

  async syncDirectory(path: string): Promise<void> {
    const fd = await openFile(path, 'r');
    try {
      await syncAll(fd);
    } finally {
      await closeFile(fd);
    }
  }

  /** As it was at most `freeMs` ago: a disk that fills up faster says so when it is written to. */
  async freeBytes(path: string): Promise<number> {
    const nowMs = performance.now();
    if (path !== this.#free.path || nowMs - this.#free.atMs > freeMs) {
      const { bavail, bsize } = await statFilesystem(path);
      this.#free = { path, atMs: nowMs, bytes: bavail * bsize };
    }
    return this.#free.bytes;
  }

  async space(path: string): Promise<{ freeBytes: number; totalBytes: number }> {
    const { bavail, bfree, blocks, bsize } = await statFilesystem(path);
    return { freeBytes: bavail * bsize, totalBytes: (blocks - bfree + bavail) * bsize };
  }

  /**
   * SQLite's exclusive lock on an empty database: a lock of the kernel, so it goes with the process
   * (kill -9 too), holds across containers that share the directory, and no stale file can fake it.
   */
  async lock(path: string): Promise<() => Promise<void>> {
    const database = new DatabaseSync(path, { timeout: 0 });
    try {
      database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    } catch (error) {
      database.close();
      if (error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY)
        throw diskError('EBUSY', 'lock', path);
      throw error;
    }
    return async () => database.close();
  }
}
