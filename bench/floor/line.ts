/**
 * Units of a blob on their way through one process of the floor, in order, in a circle of slots, and how two threads tell
 * each other of them.
 *
 * Rule: nothing but what the system calls and the hash need. Memory begins at a page boundary, as the product's does, and
 *   threads talk over the product's ring.
 */

import { unitBytes } from '../../core/piece.ts';
import { Ring } from '../../platform/workers/ring.ts';
import { pagedMemory, type SharedBytes } from '../../platform/workers/shared.ts';

/** 16 MiB, as much as the product keeps of a share: more would leave the cache. */
export const slots = 64;
/** A unit and a file descriptor. */
const noteBytes = 2 * Int32Array.BYTES_PER_ELEMENT;

export type LineMemory = {
  readonly bytes: SharedArrayBuffer;
  readonly there: SharedArrayBuffer;
  readonly back: SharedArrayBuffer;
};

/** One direction between two threads; each record is a unit and what goes with it. */
export class Notes {
  readonly #ring: Ring;
  readonly #record = new Int32Array(2);
  readonly #bytes = new Uint8Array(this.#record.buffer);

  constructor(ring: Ring) {
    this.#ring = ring;
  }

  put(unit: number, fd = 0): void {
    this.#record[0] = unit;
    this.#record[1] = fd;
    if (!this.#ring.tryPut(this.#bytes)) throw new Error('the floor: more units than slots');
  }

  /** Sleeps until there is one. */
  take(): { readonly unit: number; readonly fd: number } {
    this.#ring.take(this.#bytes);
    return { unit: this.#record[0] ?? 0, fd: this.#record[1] ?? 0 };
  }

  /** The same for a thread with an event loop. */
  async next(): Promise<number> {
    await this.#ring.ready();
    return this.take().unit;
  }
}

export class Line {
  readonly memory: LineMemory;
  /** From the main thread to the other one, and from there. */
  readonly there: Notes;
  readonly back: Notes;
  readonly #views: readonly SharedBytes[];

  constructor(memory?: LineMemory) {
    const ring = (of?: SharedArrayBuffer): Ring =>
      of === undefined ? Ring.create(2 * slots, noteBytes) : Ring.attach(of);
    const there = ring(memory?.there);
    const back = ring(memory?.back);
    const bytes = memory?.bytes ?? pagedMemory(slots * unitBytes);
    this.memory = { bytes, there: there.memory, back: back.memory };
    this.there = new Notes(there);
    this.back = new Notes(back);
    this.#views = Array.from({ length: slots }, (_, i) => new Uint8Array(bytes, i * unitBytes, unitBytes));
  }

  /** Of a unit's slot, from `offset` to `end`. */
  window(unit: number, offset = 0, end = unitBytes): SharedBytes {
    const view = this.#views[unit % slots] as SharedBytes;
    return offset === 0 && end === unitBytes ? view : view.subarray(offset, end);
  }
}

/** Units of a blob of `bytes`, and the length of each. */
export const unitsOf = (bytes: number): number => Math.ceil(bytes / unitBytes);
export const lengthOf = (unit: number, bytes: number): number => Math.min(unitBytes, bytes - unit * unitBytes);
