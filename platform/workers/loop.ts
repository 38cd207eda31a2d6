/**
 * What a worker thread does: takes jobs off its ring until it is closed, answers each with exactly
 * one verdict, in order.
 *
 * Rule 1: synchronous I/O only. The thread sleeps in the ring; nothing asynchronous would ever run.
 * Rule 2: what the disk refuses is a verdict. Anything else that throws is a Bug and ends the thread.
 */

import { createHash, type Hash } from 'node:crypto';
import { fstatSync, readvSync, writevSync } from 'node:fs';
import { assert } from '../../core/assert.ts';
import { blake3, pieceHash, sameBytes } from './hash.ts';
import { Ring } from './ring.ts';
import {
  ArenaMemory,
  type Job,
  JobRecord,
  type JobVerdict,
  type SharedBytes,
  shortErrno,
  VerdictRecord,
} from './shared.ts';

/** What a worker is started with: shared memory only. */
export type LoopStart = {
  readonly arena: SharedArrayBuffer;
  readonly jobs: SharedArrayBuffer;
  readonly verdicts: SharedArrayBuffer;
};

type State = { readonly memory: ArenaMemory; readonly streams: Map<number, Hash> };
type Answer = Omit<JobVerdict, 'id'>;

const nothing = new Uint8Array(0);
const unasked = { digest: nothing, stamp: Number.NaN };
const ok: Answer = { outcome: 'ok', errno: 0, ...unasked };
const corrupt: Answer = { outcome: 'corrupt', errno: 0, ...unasked };

/** Returns once the ring of jobs is closed and empty. */
export function runLoop(start: LoopStart): void {
  const jobs = Ring.attach(start.jobs);
  const verdicts = Ring.attach(start.verdicts);
  const state: State = { memory: ArenaMemory.attach(start.arena), streams: new Map() };
  const job = new JobRecord();
  const verdict = new VerdictRecord();
  while (jobs.take(job.bytes)) {
    const read = job.read();
    const put = verdicts.tryPut(verdict.write({ id: read.id, ...answer(state, read) }));
    assert(put, 'worker: the ring of verdicts is full, though it has room for every job');
  }
}

function answer(state: State, job: Job): Answer {
  try {
    return perform(state, job);
  } catch (error) {
    const errno = systemErrno(error);
    if (errno === undefined) throw error;
    return { outcome: 'failed', errno, ...unasked };
  }
}

function perform(state: State, job: Job): Answer {
  switch (job.kind) {
    case 'verifyWrite': {
      const parts = state.memory.parts(job.slot, job.length);
      if (!sameBytes(pieceHash(parts, job.folded), job.expected)) return corrupt;
      writeFully(job, parts);
      return ok;
    }
    case 'readVerify': {
      // What is hashed is right whatever is written next; what is believed was not written to until it was read.
      if (job.believed) return { ...readVerify(state, job), stamp: stampOf(job) };
      const stamp = stampOf(job);
      return { ...readVerify(state, job), stamp };
    }
    case 'streamOpen':
      state.streams.set(job.stream, createHash(job.algorithm));
      return ok;
    case 'streamAppend':
      return append(state, job);
    case 'streamStored': {
      const parts = state.memory.parts(job.slot, job.length);
      if (!readFully(job, parts)) return { outcome: 'failed', errno: shortErrno, ...unasked };
      for (const part of parts) stream(state, job).update(part);
      return ok;
    }
    case 'streamFinish': {
      const digest = stream(state, job).digest();
      state.streams.delete(job.stream);
      return { ...ok, digest };
    }
    case 'streamAbort':
      state.streams.delete(job.stream);
      return ok;
  }
}

function stampOf({ stamped, fd }: Job): number {
  return stamped ? fstatSync(fd).mtimeMs : Number.NaN;
}

function readVerify(state: State, job: Job): Answer {
  const parts = state.memory.parts(job.slot, job.length);
  if (!readFully(job, parts)) return { outcome: 'failed', errno: shortErrno, ...unasked };
  if (job.believed) return ok;
  return sameBytes(pieceHash(parts, job.folded), job.expected) ? ok : corrupt;
}

function append(state: State, job: Job): Answer {
  const parts = state.memory.parts(job.slot, job.length);
  const hash = stream(state, job);
  let unit = job.slot;
  for (const part of parts) {
    hash.update(part);
    state.memory.unitHash(unit).set(blake3(part));
    unit = state.memory.next[unit] as number;
  }
  writeFully(job, parts);
  return ok;
}

function stream(state: State, job: Job): Hash {
  const hash = state.streams.get(job.stream);
  assert(hash !== undefined, `worker: no stream ${job.stream} is open`);
  return hash;
}

/** A write may take less than it is given (a signal, a disk that fills up): the rest follows. */
function writeFully(job: Job, parts: readonly SharedBytes[]): void {
  let rest = parts;
  for (let done = 0; done < job.length; ) {
    const wrote = writevSync(job.fd, rest, job.position + done);
    done += wrote;
    if (done < job.length) rest = after(rest, wrote);
  }
}

/** False where the file ends first. */
function readFully(job: Job, parts: readonly SharedBytes[]): boolean {
  let rest = parts;
  for (let done = 0; done < job.length; ) {
    const got = readvSync(job.fd, rest, job.position + done);
    if (got === 0) return false;
    done += got;
    if (done < job.length) rest = after(rest, got);
  }
  return true;
}

/** `parts` without their first `bytes` bytes. */
function after(parts: readonly SharedBytes[], bytes: number): SharedBytes[] {
  let skip = bytes;
  const rest: SharedBytes[] = [];
  for (const part of parts) {
    if (skip < part.length) rest.push(part.subarray(skip));
    skip = Math.max(0, skip - part.length);
  }
  return rest;
}

function systemErrno(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errno' in error) || typeof error.errno !== 'number') return undefined;
  return Math.abs(error.errno);
}
