/** The machine's disk, and its workers' I/O, where every path below a directory is in a mood. */

import { type FileRange, type HashStream, IoFailure, type PieceIo, type PieceJob } from '../../workers/piece-io.ts';
import { type Disk, diskError, type FileState, type OpenMode } from '../disk/disk.ts';
import { RealDisk } from '../disk/real-disk.ts';

/** EIO: all of it; EROFS: what writes; hangs: nothing is answered until it is calm. */
export type Mood = 'EIO' | 'EROFS' | 'hangs';

export class MoodyDisk implements Disk {
  readonly #real = new RealDisk();
  readonly #moods = new Map<string, Mood>();
  readonly #paths = new Map<number, string>();
  #calmed = Promise.withResolvers<void>();

  mood(dir: string, mood: Mood): void {
    this.#moods.set(dir, mood);
  }

  /** What comes from now on is answered; what hangs does so still. */
  forget(): void {
    this.#moods.clear();
  }

  calm(): void {
    this.forget();
    this.#calmed.resolve();
    this.#calmed = Promise.withResolvers<void>();
  }

  /** The workers with the same moods. */
  io(io: PieceIo): PieceIo {
    const meet = async <T>(range: FileRange, writes: boolean, work: () => Promise<T>): Promise<T | IoFailure> => {
      const path = this.#paths.get(range.fd) ?? '';
      io.arena.hold(range.slot);
      try {
        await this.#meet(path, writes);
      } catch (error) {
        return new IoFailure((error as { code: string }).code);
      } finally {
        io.arena.unhold(range.slot);
      }
      return await work();
    };
    return {
      arena: io.arena,
      verifyWrite: (job: PieceJob) => meet(job, true, () => io.verifyWrite(job)),
      readVerify: (job: PieceJob) => meet(job, false, () => io.readVerify(job)),
      hashStream: (algorithm, lane): HashStream => {
        const stream = io.hashStream(algorithm, lane);
        return {
          append: (range) => meet(range, true, () => stream.append(range)),
          appendStored: (range) => meet(range, false, () => stream.appendStored(range)),
          finish: () => stream.finish(),
          abort: () => stream.abort(),
        };
      },
    };
  }

  async open(path: string, mode: OpenMode): Promise<number> {
    await this.#meet(path, mode !== 'read');
    const fd = await this.#real.open(path, mode);
    this.#paths.set(fd, path);
    return fd;
  }

  async close(fd: number): Promise<void> {
    this.#paths.delete(fd);
    await this.#real.close(fd);
  }

  read(fd: number, into: Uint8Array, position: number): Promise<number> {
    return this.#met(this.#paths.get(fd), false, () => this.#real.read(fd, into, position));
  }

  write(fd: number, bytes: Uint8Array, position: number): Promise<void> {
    return this.#met(this.#paths.get(fd), true, () => this.#real.write(fd, bytes, position));
  }

  sync(fd: number): Promise<void> {
    return this.#met(this.#paths.get(fd), true, () => this.#real.sync(fd));
  }

  size(fd: number): Promise<number> {
    return this.#met(this.#paths.get(fd), false, () => this.#real.size(fd));
  }

  stat(path: string): Promise<FileState> {
    return this.#met(path, false, () => this.#real.stat(path));
  }

  stamp(fd: number): Promise<number> {
    return this.#met(this.#paths.get(fd), false, () => this.#real.stamp(fd));
  }

  sizes(dir: string, names: readonly string[]): Promise<readonly number[]> {
    return this.#met(dir, false, () => this.#real.sizes(dir, names));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#met(to, true, () => this.#real.rename(from, to));
  }

  unlink(path: string): Promise<void> {
    return this.#met(path, true, () => this.#real.unlink(path));
  }

  mkdir(path: string): Promise<void> {
    return this.#met(path, true, () => this.#real.mkdir(path));
  }

  list(path: string): Promise<string[]> {
    return this.#met(path, false, () => this.#real.list(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.#met(path, true, () => this.#real.syncDirectory(path));
  }

  space(path: string): ReturnType<RealDisk['space']> {
    return this.#met(path, false, () => this.#real.space(path));
  }

  freeBytes(path: string): Promise<number> {
    return this.#met(path, false, () => this.#real.freeBytes(path));
  }

  lock(path: string): Promise<() => Promise<void>> {
    return this.#real.lock(path);
  }

  async #met<T>(path: string | undefined, writes: boolean, work: () => Promise<T>): Promise<T> {
    await this.#meet(path ?? '', writes);
    return await work();
  }

  async #meet(path: string, writes: boolean): Promise<void> {
    const mood = this.#moodOf(path);
    if (mood === 'hangs') return await this.#calmed.promise;
    if (mood === 'EIO' || (mood === 'EROFS' && writes)) throw diskError(mood, 'moody', path);
  }

  #moodOf(path: string): Mood | undefined {
    for (const [dir, mood] of this.#moods) if (path === dir || path.startsWith(`${dir}/`)) return mood;
    return undefined;
  }
}
