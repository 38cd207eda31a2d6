/**
 * The disk as one process sees it: the store's FaultyDisk, with time, refusals and the process's end.
 *
 * Rule: a process that has ended does nothing more: its operations never return. What it had open is
 * closed and what it had locked is free, as the system does it.
 */

import { type Disk, diskError, type FileState, type OpenMode } from '../../../platform/store/disk/disk.ts';
import { FaultyDisk, faultyRoot } from '../../../platform/store/disk/faulty-disk.ts';
import type { World } from '../world.ts';

/** What is wrong with a disk now; the medium outlives processes. */
export type Ailments = {
  /** Milliseconds that an operation takes at most; drawn evenly. */
  slowMs: number;
  full: boolean;
  /** One operation in so many fails with EIO; 0: none. */
  failsOnceIn: number;
};

export const dataDir = `${faultyRoot}/data`;
/** Room has to be left free by the store's own rule (16 MiB); what a run stores is far below this. */
const capacityBytes = 256 * 1024 * 1024;

/** Decay counts as a write: what has decayed is not sent on trust, so that whoever sends it wrong is at fault. */
class StampedDisk extends FaultyDisk {
  #rotted = 0;
  override rot(path: string, position: number): void {
    super.rot(path, position);
    this.#rotted++;
  }
  override stampNow(fd: number): number {
    return super.stampNow(fd) * 2 ** 20 + this.#rotted;
  }
}

export class Medium {
  readonly disk: FaultyDisk;
  readonly ailments: Ailments = { slowMs: 0, full: false, failsOnceIn: 0 };

  constructor(world: World) {
    const { prng } = world;
    this.disk = new StampedDisk({ prng, capacityBytes });
  }

  heal(): void {
    this.ailments.slowMs = 0;
    this.ailments.full = false;
    this.ailments.failsOnceIn = 0;
  }
}

/** A new one each time: a promise that is shared would keep all that ever waits for it in memory. */
const never = (): Promise<never> => new Promise<never>(() => undefined);

export class ProcessDisk implements Disk {
  readonly #world: World;
  readonly #medium: Medium;
  readonly #fds = new Set<number>();
  readonly #unlocks = new Set<() => Promise<void>>();
  #ended = false;

  constructor(world: World, medium: Medium) {
    this.#world = world;
    this.#medium = medium;
  }

  /** The process is gone. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const { disk } = this.#medium;
    for (const fd of this.#fds) void disk.close(fd).catch(() => undefined);
    for (const unlock of this.#unlocks) void unlock();
  }

  async open(path: string, mode: OpenMode): Promise<number> {
    const fd = await this.#do('open', path, () => this.#medium.disk.open(path, mode));
    this.#fds.add(fd);
    return fd;
  }

  async close(fd: number): Promise<void> {
    this.#fds.delete(fd);
    await this.#medium.disk.close(fd);
  }

  read(fd: number, into: Uint8Array, position: number): Promise<number> {
    return this.#do('read', `fd ${fd}`, () => this.#medium.disk.read(fd, into, position));
  }

  write(fd: number, bytes: Uint8Array, position: number): Promise<void> {
    if (this.#medium.ailments.full) return this.#refuse('ENOSPC', 'write', `fd ${fd}`);
    return this.#do('write', `fd ${fd}`, () => this.#medium.disk.write(fd, bytes, position));
  }

  sync(fd: number): Promise<void> {
    return this.#do('sync', `fd ${fd}`, () => this.#medium.disk.sync(fd));
  }

  size(fd: number): Promise<number> {
    return this.#do('size', `fd ${fd}`, () => this.#medium.disk.size(fd));
  }

  stat(path: string): Promise<FileState> {
    return this.#do('stat', path, () => this.#medium.disk.stat(path));
  }

  stampNow(fd: number): number {
    return this.#medium.disk.stampNow(fd);
  }

  sizeNow(path: string): number {
    if (this.#ended || this.#fails()) throw diskError('EIO', 'stat', path);
    return this.#medium.disk.sizeNow(path);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#do('rename', to, () => this.#medium.disk.rename(from, to));
  }

  unlink(path: string): Promise<void> {
    return this.#do('unlink', path, () => this.#medium.disk.unlink(path));
  }

  mkdir(path: string): Promise<void> {
    return this.#do('mkdir', path, () => this.#medium.disk.mkdir(path));
  }

  list(path: string): Promise<string[]> {
    return this.#do('list', path, () => this.#medium.disk.list(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.#do('syncDirectory', path, () => this.#medium.disk.syncDirectory(path));
  }

  async space(path: string): Promise<{ freeBytes: number; totalBytes: number }> {
    return await this.#do('space', path, () => this.#medium.disk.space(path));
  }

  async freeBytes(path: string): Promise<number> {
    if (this.#medium.ailments.full) return 0;
    return await this.#do('freeBytes', path, () => this.#medium.disk.freeBytes(path));
  }

  async lock(path: string): Promise<() => Promise<void>> {
    const unlock = await this.#do('lock', path, () => this.#medium.disk.lock(path));
    this.#unlocks.add(unlock);
    return async () => {
      this.#unlocks.delete(unlock);
      if (!this.#ended) await unlock();
    };
  }

  async #do<T>(action: string, path: string, work: () => Promise<T>): Promise<T> {
    if (this.#ended) return never();
    const { slowMs } = this.#medium.ailments;
    if (slowMs > 0) await this.#world.sleep(this.#world.between(0, slowMs));
    // Most operations take a moment now and then: others come in between.
    else if (this.#world.once(12)) await this.#world.sleep(this.#world.between(0, 1));
    if (this.#ended) return never();
    if (this.#fails()) throw diskError('EIO', action, path);
    const result = await work();
    return this.#ended ? never() : result;
  }

  async #refuse(code: string, action: string, path: string): Promise<never> {
    await undefined;
    throw diskError(code, action, path);
  }

  #fails(): boolean {
    const { failsOnceIn } = this.#medium.ailments;
    return failsOnceIn > 0 && this.#world.once(failsOnceIn);
  }
}
