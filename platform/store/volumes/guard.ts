/**
 * The disk, and the workers' file I/O, with each operation counted on the volume that it is for.
 *
 * Rule 1: a path is of the volume with the longest directory that it begins with; a descriptor of that of its path.
 * Rule 2: a descriptor is closed only once nothing uses it any more, whoever gave up waiting: its number would be another
 *   file's.
 * Rule 3: what the disk refuses is told to `suspect`, with its code; who that is decides what it means.
 * Rule 4: the calling thread never waits for a volume: nothing here asks the system by itself.
 */

import type { DigestAlgorithm } from '../../../core/digest.ts';
import type { FileRange, HashStream, PieceJob } from '../../workers/piece-io.ts';
import { IoFailure, type PieceIo } from '../../workers/piece-io.ts';
import { type Disk, diskCode, diskError, type FileState, type OpenMode } from '../disk/disk.ts';
import { Gate, type Op, type OpKind, type VolumeOps } from './ops.ts';

/** Threads of Node's pool (launch.ts: 8) that disks may hold up, all volumes together; each at least one. */
const poolThreadsMax = 6;
/** Of a volume. */
const poolThreadsEach = 4;
/** How often what is under way is looked at, in parts of the time after which it hangs. */
const looksEach = 10;
/** Jobs of the workers that are given to one volume's threads; a slot of each may be lost to a disk that hangs. */
const jobsMax = 16;

type Guarded = { readonly dir: string; readonly ops: VolumeOps; readonly calls: Gate; readonly jobs: Gate };
type Descriptor = { readonly volume: number; readonly path: string; users: number; closing: boolean };

export type GuardOptions = {
  readonly disk: Disk;
  readonly io: PieceIo;
  readonly volumes: readonly { readonly dir: string; readonly ops: VolumeOps }[];
  readonly suspect: (volume: number, code: string, what: { readonly action: string; readonly path: string }) => void;
};

export class VolumeGuard {
  readonly disk: Disk;
  readonly io: PieceIo;
  readonly #o: GuardOptions;
  readonly #volumes: readonly Guarded[];
  readonly #open = new Map<number, Descriptor>();
  readonly #timer: NodeJS.Timeout;

  constructor(o: GuardOptions) {
    this.#o = o;
    const each = Math.max(1, Math.min(poolThreadsEach, Math.floor(poolThreadsMax / o.volumes.length)));
    this.#volumes = o.volumes.map((volume) => ({ ...volume, calls: new Gate(each), jobs: new Gate(jobsMax) }));
    this.disk = this.#guardedDisk();
    this.io = this.#guardedIo();
    const hungMs = Math.min(...o.volumes.map(({ ops }) => ops.hungMs));
    this.#timer = setInterval(() => this.#look(), hungMs / looksEach).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Of the one that the path lies on. */
  volumeOf(path: string): number {
    let best = 0;
    let length = -1;
    for (const [no, { dir }] of this.#volumes.entries()) {
      if (dir.length <= length || !(path === dir || path.startsWith(`${dir}/`))) continue;
      best = no;
      length = dir.length;
    }
    return best;
  }

  /** `settled` is called once the system is done with it, with what it came to, if nobody waits for that any more. */
  async #run<T>(
    ops: VolumeOps,
    { gate, kind }: { readonly gate: Gate; readonly kind: OpKind },
    work: () => Promise<T>,
    settled: (unwanted: T | undefined) => void = () => undefined,
  ): Promise<T> {
    try {
      throwIfLost(ops);
      if (gate.running >= gate.max) await this.#turn(ops, gate);
      else gate.running += 1;
    } catch (error) {
      settled(undefined);
      throw error;
    }
    return await new Promise((resolve, reject) => {
      let wanted = true;
      const lose = (error: Error): void => {
        wanted = false;
        reject(error);
      };
      const op: Op = { gate, kind, sinceMs: performance.now(), lose };
      ops.running.add(op);
      const end = (unwanted: T | undefined): void => {
        gate.endedMs = performance.now();
        ops.running.delete(op);
        ops.givenUp.delete(op);
        next(gate);
        settled(unwanted);
      };
      work().then(
        (value) => {
          end(wanted ? undefined : value);
          resolve(value);
        },
        (error: unknown) => {
          end(undefined);
          reject(error);
        },
      );
    });
  }

  async #turn(ops: VolumeOps, gate: Gate): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let given = false;
    const give = (error: Error): void => {
      given = true;
      reject(error);
    };
    ops.waiting.add(give);
    gate.waiting.push(() => {
      if (given) return next(gate);
      ops.waiting.delete(give);
      resolve();
    });
    await promise;
  }

  #look(): void {
    const nowMs = performance.now();
    for (const { ops } of this.#volumes) if (nowMs - beginOf(ops) >= ops.hungMs) ops.judge(nowMs);
  }

  // ---- Disk ------------------------------------------------------------------------------------

  #guardedDisk(): Disk {
    const { disk } = this.#o;
    const named =
      <A extends unknown[], T>(kind: OpKind, action: string, call: (path: string, ...rest: A) => Promise<T>) =>
      (path: string, ...rest: A): Promise<T> =>
        this.#named(path, { kind, action }, () => call(path, ...rest));
    const { stamp, sizes } = disk;
    return {
      open: (path, mode) => this.#openFile(path, mode),
      close: (fd) => this.#close(fd),
      read: (fd, into, position) => this.#using(fd, 'read', () => disk.read(fd, into, position)),
      write: (fd, bytes, position) => this.#using(fd, 'write', () => disk.write(fd, bytes, position)),
      sync: (fd) => this.#using(fd, 'write', () => disk.sync(fd)),
      size: (fd) => this.#using(fd, 'read', () => disk.size(fd)),
      stat: named<[], FileState>('read', 'stat', (path) => disk.stat(path)),
      ...(stamp !== undefined && { stamp: (fd: number) => this.#using(fd, 'read', () => stamp.call(disk, fd)) }),
      ...(sizes !== undefined && {
        sizes: named<[readonly string[]], readonly number[]>('read', 'stat', (dir, names) =>
          sizes.call(disk, dir, names),
        ),
      }),
      rename: (from, to) => this.#named(to, { kind: 'write', action: 'rename' }, () => disk.rename(from, to)),
      unlink: named<[], void>('write', 'unlink', (path) => disk.unlink(path)),
      mkdir: named<[], void>('write', 'mkdir', (path) => disk.mkdir(path)),
      list: named<[], string[]>('read', 'list', (path) => disk.list(path)),
      syncDirectory: named<[], void>('write', 'syncDirectory', (path) => disk.syncDirectory(path)),
      space: named<[], Awaited<ReturnType<Disk['space']>>>('read', 'space', (path) => disk.space(path)),
      freeBytes: named<[], number>('read', 'freeBytes', (path) => disk.freeBytes(path)),
      lock: (path) => disk.lock(path),
    };
  }

  async #named<T>(path: string, what: { kind: OpKind; action: string }, work: () => Promise<T>): Promise<T> {
    const no = this.volumeOf(path);
    const { ops, calls } = this.#volumes[no] as Guarded;
    try {
      return await this.#run(ops, { gate: calls, kind: what.kind }, work);
    } catch (error) {
      throw this.#told(no, error, { action: what.action, path });
    }
  }

  async #openFile(path: string, mode: OpenMode): Promise<number> {
    const no = this.volumeOf(path);
    const { ops, calls } = this.#volumes[no] as Guarded;
    const { disk } = this.#o;
    const kind = mode === 'create' ? 'write' : 'read';
    const unwanted = (fd: number | undefined): void => void (fd !== undefined && disk.close(fd).catch(() => undefined));
    try {
      const fd = await this.#run(ops, { gate: calls, kind }, () => disk.open(path, mode), unwanted);
      this.#open.set(fd, { volume: no, path, users: 0, closing: false });
      return fd;
    } catch (error) {
      throw this.#told(no, error, { action: mode === 'create' ? 'create' : 'open', path });
    }
  }

  async #using<T>(fd: number, kind: OpKind, work: () => Promise<T>): Promise<T> {
    const of = this.#of(fd);
    const { ops, calls } = this.#volumes[of.volume] as Guarded;
    of.users += 1;
    try {
      return await this.#run(ops, { gate: calls, kind }, work, () => this.#unuse(fd, of));
    } catch (error) {
      throw this.#told(of.volume, error, { action: kind, path: of.path });
    }
  }

  #of(fd: number): Descriptor {
    const of = this.#open.get(fd);
    if (of === undefined) throw diskError('EBADF', 'use of a closed file', `${fd}`);
    return of;
  }

  #unuse(fd: number, of: Descriptor): void {
    of.users -= 1;
    if (of.closing && of.users === 0) this.#closeLate(fd, of);
  }

  async #close(fd: number): Promise<void> {
    const of = this.#of(fd);
    of.closing = true;
    const { ops, calls } = this.#volumes[of.volume] as Guarded;
    if (of.users > 0) return;
    if (ops.lost !== undefined) return this.#closeLate(fd, of);
    this.#open.delete(fd);
    await this.#run(ops, { gate: calls, kind: 'write' }, () => this.#o.disk.close(fd));
  }

  /** Nobody can be told that it failed, and nothing depends on it. */
  #closeLate(fd: number, of: Descriptor): void {
    if (this.#open.get(fd) === of) this.#open.delete(fd);
    this.#o.disk.close(fd).catch(() => undefined);
  }

  #told(volume: number, error: unknown, what: { action: string; path: string }): unknown {
    const code = diskCode(error);
    if (code !== undefined && (this.#volumes[volume] as Guarded).ops.lost === undefined)
      this.#o.suspect(volume, code, what);
    return error;
  }

  // ---- PieceIo ---------------------------------------------------------------------------------

  #guardedIo(): PieceIo {
    const { io } = this.#o;
    return {
      arena: io.arena,
      verifyWrite: (job: PieceJob) => this.#job(job, (lane) => io.verifyWrite({ ...job, lane })),
      readVerify: (job: PieceJob) => this.#job(job, (lane) => io.readVerify({ ...job, lane })),
      hashStream: (algorithm) => this.#stream(algorithm),
    };
  }

  async #job<T>(range: FileRange, work: (lane: number) => Promise<T>): Promise<T | IoFailure> {
    const { fd, slot } = range;
    const of = this.#open.get(fd);
    if (of === undefined) return new IoFailure('EBADF');
    const { ops, jobs } = this.#volumes[of.volume] as Guarded;
    let given = false;
    of.users += 1;
    const begin = (): Promise<T> => {
      given = true;
      return work(of.volume);
    };
    try {
      const verdict = await this.#run(ops, { gate: jobs, kind: 'job' }, begin, () => {
        given = false;
        this.#unuse(fd, of);
      });
      if (verdict instanceof IoFailure) this.#o.suspect(of.volume, verdict.errno, { action: 'job', path: of.path });
      return verdict;
    } catch (error) {
      const code = diskCode(error);
      if (code === undefined) throw error;
      // Its worker still has the memory.
      if (given) this.#o.io.arena.abandon(slot);
      return new IoFailure(code);
    }
  }

  /** Its worker is one of its file's volume: begun with the first bytes. */
  #stream(algorithm: DigestAlgorithm): HashStream {
    const { io } = this.#o;
    let inner: HashStream | undefined;
    let lane = this.#anyLane();
    const stream = (of: number): HashStream => {
      if (inner === undefined) lane = of;
      inner ??= io.hashStream(algorithm, of);
      return inner;
    };
    return {
      append: (range) => this.#job(range, (of) => stream(of).append(range)),
      appendStored: (range) => this.#job(range, (of) => stream(of).appendStored(range)),
      finish: () => {
        const { ops, jobs } = this.#volumes[lane] as Guarded;
        return this.#run(ops, { gate: jobs, kind: 'job' }, () => stream(lane).finish());
      },
      abort: () => inner?.abort(),
    };
  }

  /** One that is not held up, where one is. */
  #anyLane(): number {
    return Math.max(
      0,
      this.#volumes.findIndex(({ ops }) => ops.lost === undefined && !isSlow(ops)),
    );
  }
}

/** Hands the place on, or gives it back. */
function next(gate: Gate): void {
  const waiting = gate.waiting.shift();
  if (waiting !== undefined) waiting();
  else gate.running -= 1;
}

function throwIfLost({ lost }: VolumeOps): void {
  if (lost !== undefined) throw lost;
}

/** Of what has run longest. */
function beginOf({ running }: VolumeOps): number {
  for (const { sinceMs } of running) return sinceMs;
  return Number.POSITIVE_INFINITY;
}

/** Whether something takes so long that nobody should wait for this volume on the main thread. */
function isSlow(ops: VolumeOps): boolean {
  return performance.now() - beginOf(ops) > ops.hungMs / looksEach;
}
