/**
 * Open descriptors, bounded: files are opened when they are used and closed when others need the
 * room, least recently used first.
 *
 * Rule 1: a file that is being used, or was removed while somebody still reads it, is never closed.
 * Rule 2: the limit gives way to rule 1; so the number of jobs at a time bounds what exceeds it.
 */

import { Bug } from '../../../core/assert.ts';
import { type Disk, diskCode } from './disk.ts';

export type StoredFile = {
  /** May change with a rename, while the file is used; the descriptor stays good. */
  readonly path: string;
  /** Its name is gone: closed by its last user, and then gone for good. */
  unlinked: boolean;
  /** It is somebody else's, too: opened to read only. */
  readonly shared?: boolean;
};

/** `old`: another file has the name now; whoever uses this one still can. */
type Open = { readonly fd: Promise<number>; users: number; old: boolean };

export class OpenFiles {
  readonly #disk: Disk;
  readonly #max: number;
  /** In order of use. */
  readonly #open = new Map<StoredFile, Open>();

  constructor(disk: Disk, max: number) {
    this.#disk = disk;
    this.#max = max;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Runs `work` with the file's descriptor, which stays open until it settles. */
  async use<T>(file: StoredFile, work: (fd: number) => Promise<T>): Promise<T> {
    const open = this.#take(file);
    try {
      return await work(await open.fd);
    } finally {
      open.users -= 1;
      if (open.old && open.users === 0) await this.#disk.close(await open.fd);
      else if (file.unlinked) await this.close(file);
    }
  }

  /** The next use opens the name anew: another file may have it by now. */
  async renew(file: StoredFile): Promise<void> {
    const open = this.#open.get(file);
    if (open === undefined || file.unlinked) return;
    this.#open.delete(file);
    open.old = true;
    // What could not be opened needs no closing.
    if (open.users === 0) await open.fd.then((fd) => this.#disk.close(fd)).catch(() => undefined);
  }

  /** Opens the file and keeps it open: whoever reads it still can after its name is gone. */
  async hold(file: StoredFile): Promise<() => Promise<void>> {
    const open = this.#take(file);
    await open.fd;
    return async () => {
      open.users -= 1;
      if (open.old && open.users === 0) await this.#disk.close(await open.fd);
      else await this.close(file);
    };
  }

  /** Hands a descriptor over that was opened elsewhere. */
  adopt(file: StoredFile, fd: number): void {
    if (this.#open.has(file)) throw new Bug(`files: ${file.path} is open already`);
    this.#open.set(file, { fd: Promise.resolve(fd), users: 0, old: false });
    this.#shrink();
  }

  /** Closes the file unless it is being used; a file whose name is gone is then closed by its last user. */
  async close(file: StoredFile): Promise<void> {
    const open = this.#open.get(file);
    if (open === undefined || open.users > 0) return;
    this.#open.delete(file);
    await this.#disk.close(await open.fd);
  }

  /** As `close`; nobody waits for it, or could do anything about its failure. */
  letGo(file: StoredFile): void {
    this.close(file).catch(() => undefined);
  }

  async closeAll(): Promise<void> {
    const all = [...this.#open.values()];
    this.#open.clear();
    await Promise.allSettled(all.map(async (open) => await this.#disk.close(await open.fd)));
  }

  #take(file: StoredFile): Open {
    const open = this.#open.get(file) ?? this.#start(file);
    this.#open.delete(file);
    this.#open.set(file, open);
    open.users += 1;
    this.#shrink();
    return open;
  }

  #start(file: StoredFile): Open {
    const open: Open = { fd: this.#openNamed(file), users: 0, old: false };
    open.fd.catch(() => {
      if (this.#open.get(file) === open) this.#open.delete(file);
    });
    return open;
  }

  /** To read and write; only to read where the file system is read-only. */
  async #openNamed({ path, shared }: StoredFile): Promise<number> {
    if (shared === true) return await this.#disk.open(path, 'read');
    try {
      return await this.#disk.open(path, 'update');
    } catch (error) {
      if (diskCode(error) !== 'EROFS') throw error;
      return await this.#disk.open(path, 'read');
    }
  }

  #shrink(): void {
    if (this.#open.size <= this.#max) return;
    for (const [file, open] of this.#open) {
      if (open.users > 0) continue;
      this.#open.delete(file);
      open.fd.then((fd) => this.#disk.close(fd)).catch(() => undefined);
      if (this.#open.size <= this.#max) return;
    }
  }
}
