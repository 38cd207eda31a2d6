/**
 * The worker threads: hashing and file I/O off the main thread, no byte copied between threads.
 *
 * Piscina starts the threads and keeps one task in each: a loop that blocks on a ring of jobs
 * (loop.ts). `atomics: 'sync'` is right for that, since nothing asynchronous runs in them.
 *
 * Rule 1: every job gets one verdict. A thread that dies before is a Bug: it ends the process,
 *   since a slot may hold half of anything.
 * Rule 2: all jobs of one hash stream go to one thread, so that they keep their order.
 * Rule 3: jobs beyond a ring's room wait here, in order.
 * Rule 4: threads are divided among lanes, one a file system: a disk that hangs holds up the threads of its lane only.
 */

import { getSystemErrorName } from 'node:util';
import { Piscina } from 'piscina';
import { assert, Bug } from '../../core/assert.ts';
import type { DigestAlgorithm } from '../../core/digest.ts';
import { unitBytes } from '../../core/piece.ts';
import { entryUrl } from '../lifecycle/entry.ts';
import { Arena, defaultShares, type Share, type Slot } from './arena.ts';
import type { LoopStart } from './loop.ts';
import { type FileRange, type HashStream, IoFailure, type PieceIo, type PieceJob } from './piece-io.ts';
import { Ring } from './ring.ts';
import {
  type Job,
  JobRecord,
  type JobVerdict,
  jobRecordBytes,
  shortErrno,
  VerdictRecord,
  verdictRecordBytes,
} from './shared.ts';

export type { HashStream } from './piece-io.ts';

/** Jobs that one thread's ring holds. Enough that a thread never waits for the event loop. */
const ringRecords = 256;
/** A thread holds no data of its own; without limits V8 lets each heap grow to gigabytes. */
const threadLimits = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4, stackSizeMb: 1 };

export type WorkersOptions = {
  /** The file that exports `run`. Default: thread.ts. */
  readonly entry?: URL;
  /** Threads, in all; each lane has one at least. */
  readonly count: number;
  /** Default 1. */
  readonly lanes?: number;
  readonly arenaBytes: number;
  /** Fractions of the arena, together at most 1. */
  readonly shares?: Record<Share, number>;
  /** Called once where a thread dies. By default the Bug is thrown, which ends the process. */
  readonly onDeath?: (bug: Bug) => void;
};

type Pending = {
  readonly slot: Slot | undefined;
  readonly bytes: number;
  readonly resolve: (verdict: JobVerdict) => void;
  readonly reject: (error: Error) => void;
};
type Thread = {
  readonly lane: number;
  readonly jobs: Ring;
  readonly verdicts: Ring;
  readonly backlog: Job[];
  /** Bytes of jobs that have no verdict yet: the next job goes where they are fewest. */
  bytes: number;
  /** Jobs put on the ring whose verdict was not taken: at most a ring of verdicts. */
  flying: number;
};
type JobFields = Partial<Job> & Pick<Job, 'kind'>;

export class Workers implements PieceIo {
  readonly arena: Arena;
  readonly #threads: Thread[] = [];
  readonly #pending = new Map<number, Pending>();
  readonly #record = new JobRecord();
  readonly #verdict = new VerdictRecord();
  readonly #pool: Piscina;
  readonly #lanes: number;
  readonly #onDeath: (bug: Bug) => void;
  readonly #running: Promise<void>[] = [];
  readonly #whenIdle: (() => void)[] = [];
  #nextId = 0;
  #nextStream = 0;
  #state: 'running' | 'closing' | Bug = 'running';

  private constructor(o: WorkersOptions) {
    this.arena = new Arena(o.arenaBytes, o.shares ?? defaultShares);
    this.#onDeath = o.onDeath ?? throwLater;
    this.#lanes = o.lanes ?? 1;
    const threads = Math.max(o.count, this.#lanes);
    this.#pool = new Piscina({
      filename: (o.entry ?? entryUrl('./thread.ts', import.meta.url)).href,
      name: 'run',
      minThreads: threads,
      maxThreads: threads,
      atomics: 'sync',
      recordTiming: false,
      trackUnmanagedFds: false,
      resourceLimits: threadLimits,
    });
    // A thread that Piscina put in place of a dead one may die as well, with no task of its own to tell it by.
    this.#pool.on('error', (error) =>
      this.#died(new Bug(`worker: a thread died: ${messageOf(error)}`, { cause: error })),
    );
  }

  /** Resolves once every thread has answered a first job. Rejects where the entry does not load. */
  static async start(o: WorkersOptions): Promise<Workers> {
    assert(o.count > 0, `workers: count ${o.count}`);
    const workers = new Workers(o);
    const threads = Math.max(o.count, workers.#lanes);
    for (let i = 0; i < threads; i += 1) workers.#startThread(i % workers.#lanes);
    const first = workers.#threads.map((thread, stream) =>
      workers.#run(thread, { kind: 'streamAbort', stream }, undefined),
    );
    await Promise.all(first);
    return workers;
  }

  async verifyWrite(job: PieceJob): Promise<'held' | 'corrupt' | IoFailure> {
    const verdict = await this.#run(this.#leastBusy(job.lane), pieceFields('verifyWrite', job), job.slot);
    if (verdict.outcome === 'ok') return 'held';
    return verdict.outcome === 'corrupt' ? 'corrupt' : failure(verdict);
  }

  async readVerify(job: PieceJob): Promise<'ok' | 'corrupt' | IoFailure> {
    const verdict = await this.#run(this.#leastBusy(job.lane), pieceFields('readVerify', job), job.slot);
    if (!Number.isNaN(verdict.stamp)) job.stamped?.(verdict.stamp);
    return verdict.outcome === 'failed' ? failure(verdict) : verdict.outcome;
  }

  hashStream(algorithm: DigestAlgorithm, lane?: number): HashStream {
    const thread = this.#leastBusy(lane);
    this.#nextStream = (this.#nextStream + 1) & 0x7fffffff;
    const stream = this.#nextStream;
    let open = true;
    const end = (): void => {
      if (!open) throw new Bug('hash stream: it has ended already');
      open = false;
    };
    const settled = this.#run(thread, { kind: 'streamOpen', stream, algorithm }, undefined);
    // A thread that dies rejects this as well as the job that somebody waits for.
    settled.catch(() => undefined);
    return {
      append: async (range) => {
        const verdict = await this.#run(thread, { ...rangeFields(range), kind: 'streamAppend', stream }, range.slot);
        return verdict.outcome === 'ok'
          ? this.arena.memory.copyHashes(range.slot.no, range.length ?? range.slot.length)
          : failure(verdict);
      },
      appendStored: async (range) => {
        const verdict = await this.#run(thread, { ...rangeFields(range), kind: 'streamStored', stream }, range.slot);
        return verdict.outcome === 'ok' ? 'ok' : failure(verdict);
      },
      finish: async () => {
        end();
        const verdict = await this.#run(thread, { kind: 'streamFinish', stream }, undefined);
        return Buffer.from(verdict.digest).toString('hex');
      },
      abort: () => {
        end();
        if (this.#state === 'running')
          this.#run(thread, { kind: 'streamAbort', stream }, undefined).catch(() => undefined);
      },
    };
  }

  /** Finishes the jobs that were given, then ends the threads. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'running') this.#state = 'closing';
    if (this.#pending.size > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    for (const thread of this.#threads) thread.jobs.close();
    if (this.#state === 'closing') await Promise.all(this.#running);
    for (const thread of this.#threads) thread.verdicts.close();
    await this.#pool.destroy();
  }

  #startThread(lane: number): void {
    const jobs = Ring.create(ringRecords, jobRecordBytes);
    const verdicts = Ring.create(ringRecords, verdictRecordBytes);
    const thread: Thread = { lane, jobs, verdicts, backlog: [], bytes: 0, flying: 0 };
    const start: LoopStart = { arena: this.arena.memory.memory, jobs: jobs.memory, verdicts: verdicts.memory };
    this.#threads.push(thread);
    const loop = this.#pool.run(start).then(
      () => {
        if (this.#state === 'running') this.#died(new Bug('worker: its loop ended though its ring is open'));
      },
      (error: unknown) => this.#died(new Bug(`worker: a thread died: ${messageOf(error)}`, { cause: error })),
    );
    this.#running.push(loop);
    void this.#receive(thread);
  }

  async #receive(thread: Thread): Promise<void> {
    while (await thread.verdicts.ready()) {
      while (thread.verdicts.tryTake(this.#verdict.bytes)) this.#settle(thread, this.#verdict.read());
    }
  }

  #settle(thread: Thread, verdict: JobVerdict): void {
    const pending = this.#pending.get(verdict.id);
    // After a death the verdicts of other threads still come in; their jobs were rejected.
    if (pending === undefined && this.#state instanceof Bug) return;
    if (pending === undefined) throw new Bug(`worker: a verdict on job ${verdict.id}, which nobody gave`);
    this.#pending.delete(verdict.id);
    thread.bytes -= pending.bytes;
    thread.flying -= 1;
    if (pending.slot !== undefined) this.arena.unhold(pending.slot);
    const next = thread.backlog.shift();
    if (next !== undefined) this.#put(thread, next);
    pending.resolve(verdict);
    if (this.#pending.size === 0) for (const idle of this.#whenIdle.splice(0)) idle();
  }

  #run(thread: Thread, fields: JobFields, slot: Slot | undefined): Promise<JobVerdict> {
    if (this.#state !== 'running') {
      return Promise.reject(this.#state === 'closing' ? new Bug('worker: a job after the close') : this.#state);
    }
    this.#nextId = (this.#nextId + 1) & 0x7fffffff;
    const job: Job = { ...emptyJob, ...fields, id: this.#nextId };
    if (slot !== undefined) this.arena.hold(slot);
    thread.bytes += job.length;
    return new Promise((resolve, reject) => {
      this.#pending.set(job.id, { slot, bytes: job.length, resolve, reject });
      if (thread.flying < ringRecords) this.#put(thread, job);
      else thread.backlog.push(job);
    });
  }

  #put(thread: Thread, job: Job): void {
    thread.flying += 1;
    assert(thread.jobs.tryPut(this.#record.write(job)), 'worker: the ring of jobs is full though few are flying');
  }

  /** Of the lane, which is 0 where nobody says. */
  #leastBusy(of = 0): Thread {
    let best: Thread | undefined;
    for (const thread of this.#threads) {
      if (thread.lane === of % this.#lanes && (best === undefined || thread.bytes < best.bytes)) best = thread;
    }
    if (best === undefined) throw new Bug(`worker: lane ${of} has no thread`);
    return best;
  }

  #died(bug: Bug): void {
    if (this.#state instanceof Bug) return;
    this.#state = bug;
    for (const pending of this.#pending.values()) {
      if (pending.slot !== undefined) this.arena.unhold(pending.slot);
      pending.reject(bug);
    }
    this.#pending.clear();
    for (const idle of this.#whenIdle.splice(0)) idle();
    this.#onDeath(bug);
  }
}

const emptyJob: Job = {
  kind: 'streamAbort',
  id: 0,
  fd: -1,
  slot: -1,
  length: 0,
  stream: 0,
  position: 0,
  folded: false,
  believed: false,
  stamped: false,
  algorithm: 'sha256',
  expected: new Uint8Array(0),
};

function rangeFields(range: FileRange): Pick<Job, 'fd' | 'position' | 'slot' | 'length'> {
  return { fd: range.fd, position: range.position, slot: range.slot.no, length: range.length ?? range.slot.length };
}

function pieceFields(kind: 'verifyWrite' | 'readVerify', job: PieceJob): JobFields {
  const folded = job.folded ?? job.slot.length > unitBytes;
  const { believed = false, expected, stamped } = job;
  return { ...rangeFields(job), kind, folded, believed, expected, stamped: stamped !== undefined };
}

function failure(verdict: JobVerdict): IoFailure {
  return new IoFailure(verdict.errno === shortErrno ? 'SHORT' : getSystemErrorName(-verdict.errno));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Outside of any promise, so that it is an uncaught exception and ends the process. */
function throwLater(bug: Bug): void {
  queueMicrotask(() => {
    throw bug;
  });
}
