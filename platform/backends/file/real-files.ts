/** The file system of this machine, or one that is mounted there. */

import type { BigIntStats } from 'node:fs';
import { constants } from 'node:fs';
import {
  type FileHandle,
  link,
  lstat,
  mkdir,
  open,
  opendir,
  readlink,
  rename,
  symlink,
  unlink,
} from 'node:fs/promises';
import type { FileIs, Files, OpenFile } from './files.ts';

/** A link that somebody put there is not followed: it may lead out of the directory. */
const flags = {
  read: constants.O_RDONLY | constants.O_NOFOLLOW,
  create: constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
} as const;
const fileMode = 0o644;
/** Names that are read at once. */
const namesAtOnce = 256;
const nsPerMs = 1_000_000n;

export const realFiles: Files = {
  open: async (path, mode) => new RealFile(await open(path, flags[mode], fileMode)),
  state: async (path) => isOf(await lstat(path, { bigint: true })),
  rename,
  link,
  mark: (path, value) => symlink(value, path),
  marked: (path) => readlink(path),
  unlink,
  async mkdir(path) {
    await mkdir(path);
  },
  async syncDirectory(path) {
    const directory = await open(path, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  },
  async *names(path) {
    let some: { name: string; directory: boolean }[] = [];
    for await (const entry of await opendir(path, { bufferSize: namesAtOnce })) {
      if (entry.isFile() || entry.isDirectory()) some.push({ name: entry.name, directory: entry.isDirectory() });
      if (some.length < namesAtOnce) continue;
      yield some;
      some = [];
    }
    yield some;
  },
};

class RealFile implements OpenFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    return (await this.#handle.read(into, 0, into.length, position)).bytesRead;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#handle.writeFile(bytes);
  }

  sync(): Promise<void> {
    return this.#handle.sync();
  }

  date(ms: number): Promise<void> {
    return this.#handle.utimes(ms / 1000, ms / 1000);
  }

  async state(): Promise<FileIs> {
    return isOf(await this.#handle.stat({ bigint: true }));
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

function isOf(stats: BigIntStats): FileIs {
  return {
    size: Number(stats.size),
    id: `${stats.ino}-${stats.mtimeNs}-${stats.size}`,
    mtimeMs: Number(stats.mtimeNs / nsPerMs),
    directory: stats.isDirectory(),
  };
}
