/**
 * The layout of the arena's shared memory, as both the main thread and the workers see it.
 *
 *   [ unit 0 | unit 1 | … ]          256 KiB each
 *   [ next: Int32 a unit ]           the unit that follows in the same slot, or -1
 *   [ hashes: 32 bytes a unit ]      where a worker leaves the BLAKE3 of each unit of an upload
 *
 * A slot is a chain of units; its number is that of its first unit. The main thread alone writes
 * `next`; a worker reads it after a job that names the slot came through its ring.
 *
 * Rule 1: units begin at page boundaries. The kernel copies every piece in and out, and on some processors a
 *   copy to 16 bytes past a page takes 3.6 times as long (`npm run bench -- micro`: copy…).
 * Rule 2: every view has a length. One without follows the length of a growable buffer, and is slow.
 */

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
