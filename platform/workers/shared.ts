/**
 * What the main thread and the workers share: the arena's memory, and the records that go over a ring.
 *
 *   [ unit 0 | unit 1 | … ]          256 KiB each
 *   [ next: Int32 a unit ]           the unit that follows in the same slot, or -1
 *   [ hashes: 32 bytes a unit ]      where a worker leaves the BLAKE3 of each unit of an upload
 *
 * A slot is a chain of units; its number is that of its first unit. The main thread alone writes
 * `next`; a worker reads it after a job that names the slot came through its ring.
 *
 *   job:      kind, id, fd, slot, length, stream, folded, algorithm, believed, stamped (Int32 each), position (float64), expected (32 bytes)
 *   verdict:  id, outcome, errno, digest length (Int32 each), digest (64 bytes), stamp (float64)
 *
 * Rule 1: units begin at page boundaries. The kernel copies every piece in and out, and on some processors a
 *   copy to 16 bytes past a page takes 3.6 times as long (`npm run bench -- micro`: copy…).
 * Rule 2: every view has a length. One without follows the length of a growable buffer, and is slow.
 */

import type { DigestAlgorithm } from '../../core/digest.ts';
import { hashBytes, unitBytes } from '../../core/piece.ts';

/** Bytes that several threads see: not assignable to `Uint8Array<ArrayBuffer>`. */
export type SharedBytes = Uint8Array<SharedArrayBuffer>;

export class ArenaMemory {
  readonly memory: SharedArrayBuffer;
  readonly units: number;
  readonly next: Int32Array<SharedArrayBuffer>;
  readonly #hashes: SharedBytes;
  /** Whole-unit views, made when they are first used: each piece would cost some otherwise. */
  readonly #views: (SharedBytes | undefined)[];

  private constructor(memory: SharedArrayBuffer, units: number) {
    this.memory = memory;
    this.units = units;
    this.next = new Int32Array(memory, units * unitBytes, units);
    this.#views = new Array<SharedBytes | undefined>(units).fill(undefined);
    this.#hashes = new Uint8Array(memory, units * (unitBytes + Int32Array.BYTES_PER_ELEMENT), units * hashBytes);
  }

  static create(units: number): ArenaMemory {
    const perUnit = unitBytes + Int32Array.BYTES_PER_ELEMENT + hashBytes;
    return new ArenaMemory(pagedMemory(units * perUnit), units);
  }

  static attach(memory: SharedArrayBuffer): ArenaMemory {
    return new ArenaMemory(memory, memory.byteLength / (unitBytes + Int32Array.BYTES_PER_ELEMENT + hashBytes));
  }

  /** Views over the first `length` bytes of the slot, in order, each at most one unit. */
  parts(slot: number, length: number): SharedBytes[] {
    const parts: SharedBytes[] = [];
    let left = length;
    for (let unit = slot; left > 0; unit = this.next[unit] as number) {
      const bytes = Math.min(left, unitBytes);
      parts.push(bytes === unitBytes ? this.view(unit) : new Uint8Array(this.memory, unit * unitBytes, bytes));
      left -= bytes;
    }
    return parts;
  }

  /** All of the unit. */
  view(unit: number): SharedBytes {
    this.#views[unit] ??= new Uint8Array(this.memory, unit * unitBytes, unitBytes);
    return this.#views[unit];
  }

  unitHash(unit: number): SharedBytes {
    return this.#hashes.subarray(unit * hashBytes, (unit + 1) * hashBytes);
  }

  /** A private copy of the hashes that a worker left for the slot's units: 32 bytes each. */
  copyHashes(slot: number, length: number): Uint8Array<ArrayBuffer> {
    const copy = new Uint8Array(Math.ceil(length / unitBytes) * hashBytes);
    for (let unit = slot, at = 0; at < copy.length; unit = this.next[unit] as number, at += hashBytes) {
      copy.set(this.unitHash(unit), at);
    }
    return copy;
  }
}

/**
 * Shared memory that begins at a page boundary. V8 takes a plain buffer from malloc, which puts a header of
 * 16 bytes before it; one that may grow is mapped by itself. This one is as large as it may become.
 */
export function pagedMemory(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(bytes, { maxByteLength: bytes });
}

export const JOB_KINDS = [
  'verifyWrite',
  'readVerify',
  'streamOpen',
  'streamAppend',
  'streamStored',
  'streamFinish',
  'streamAbort',
] as const;
export type JobKind = (typeof JOB_KINDS)[number];
export const OUTCOMES = ['ok', 'corrupt', 'failed'] as const;
export type Outcome = (typeof OUTCOMES)[number];
const ALGORITHMS: readonly DigestAlgorithm[] = ['sha256', 'sha512'];

/** `slot`, `length`, `fd`, `position`: where the bytes are and go. `stream`: which running digest. */
export type Job = {
  readonly kind: JobKind;
  readonly id: number;
  readonly fd: number;
  readonly slot: number;
  readonly length: number;
  readonly stream: number;
  readonly position: number;
  readonly folded: boolean;
  readonly believed: boolean;
  /** The verdict tells the file's stamp. */
  readonly stamped: boolean;
  readonly algorithm: DigestAlgorithm;
  readonly expected: Uint8Array;
};

/** `errno` is the system's positive number, or `shortErrno`. */
export type JobVerdict = {
  readonly id: number;
  readonly outcome: Outcome;
  readonly errno: number;
  readonly digest: Uint8Array;
  /** NaN: nobody asked. */
  readonly stamp: number;
};

/** Not the system's: the file ended before the bytes did. */
export const shortErrno = -1;

const at = {
  kind: 0,
  id: 4,
  fd: 8,
  slot: 12,
  length: 16,
  stream: 20,
  folded: 24,
  algorithm: 28,
  believed: 32,
  stamped: 36,
  position: 40,
  expected: 48,
} as const;
export const jobRecordBytes = at.expected + hashBytes;
const answer = { id: 0, outcome: 4, errno: 8, length: 12, digest: 16 } as const;
const digestBytesMax = 64;
const stampAt = answer.digest + digestBytesMax;
export const verdictRecordBytes = stampAt + Float64Array.BYTES_PER_ELEMENT;

/** One reusable record and its view. */
export class JobRecord {
  readonly bytes = new Uint8Array(jobRecordBytes);
  readonly #view = new DataView(this.bytes.buffer);

  write(job: Job): Uint8Array {
    const view = this.#view;
    view.setInt32(at.kind, JOB_KINDS.indexOf(job.kind), true);
    view.setInt32(at.id, job.id, true);
    view.setInt32(at.fd, job.fd, true);
    view.setInt32(at.slot, job.slot, true);
    view.setInt32(at.length, job.length, true);
    view.setInt32(at.stream, job.stream, true);
    view.setInt32(at.folded, job.folded ? 1 : 0, true);
    view.setInt32(at.algorithm, ALGORITHMS.indexOf(job.algorithm), true);
    view.setInt32(at.believed, job.believed ? 1 : 0, true);
    view.setInt32(at.stamped, job.stamped ? 1 : 0, true);
    view.setFloat64(at.position, job.position, true);
    this.bytes.set(job.expected, at.expected);
    return this.bytes;
  }

  /** What is in `bytes`. `expected` is a view, valid until the next record is read. */
  read(): Job {
    const view = this.#view;
    return {
      kind: JOB_KINDS[view.getInt32(at.kind, true)] as JobKind,
      id: view.getInt32(at.id, true),
      fd: view.getInt32(at.fd, true),
      slot: view.getInt32(at.slot, true),
      length: view.getInt32(at.length, true),
      stream: view.getInt32(at.stream, true),
      folded: view.getInt32(at.folded, true) === 1,
      algorithm: ALGORITHMS[view.getInt32(at.algorithm, true)] as DigestAlgorithm,
      believed: view.getInt32(at.believed, true) === 1,
      stamped: view.getInt32(at.stamped, true) === 1,
      position: view.getFloat64(at.position, true),
      expected: this.bytes.subarray(at.expected, at.expected + hashBytes),
    };
  }
}

export class VerdictRecord {
  readonly bytes = new Uint8Array(verdictRecordBytes);
  readonly #view = new DataView(this.bytes.buffer);

  write(verdict: JobVerdict): Uint8Array {
    this.#view.setInt32(answer.id, verdict.id, true);
    this.#view.setInt32(answer.outcome, OUTCOMES.indexOf(verdict.outcome), true);
    this.#view.setInt32(answer.errno, verdict.errno, true);
    this.#view.setInt32(answer.length, verdict.digest.length, true);
    this.bytes.set(verdict.digest, answer.digest);
    this.#view.setFloat64(stampAt, verdict.stamp, true);
    return this.bytes;
  }

  /** What is in `bytes`, copied. */
  read(): JobVerdict {
    const length = this.#view.getInt32(answer.length, true);
    return {
      id: this.#view.getInt32(answer.id, true),
      outcome: OUTCOMES[this.#view.getInt32(answer.outcome, true)] as Outcome,
      errno: this.#view.getInt32(answer.errno, true),
      digest: this.bytes.slice(answer.digest, answer.digest + length),
      stamp: this.#view.getFloat64(stampAt, true),
    };
  }
}
