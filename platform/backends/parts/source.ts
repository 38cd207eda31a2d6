/**
 * The bytes of an object on their way to the server, part by part: each in memory of its own with its sum, while the
 * digest of all of them is computed.
 *
 * Rule: a part's memory is counted in the room until it is given back, and is not used again: a socket may still have it.
 */

import { createHash } from 'node:crypto';
import { digestAlgorithm, digestHex } from '../../../core/digest.ts';
import type { ObjectSource } from '../backend.ts';
import type { PartRoom } from './room.ts';
import { type Sum, type SumKind, Summing } from './sums.ts';

export type SourcePart = {
  /** From 1. */
  readonly number: number;
  readonly bytes: Buffer;
  readonly sum: Sum;
  /** Its room is free again. */
  readonly done: () => void;
};

export type Cut = { readonly size: number; readonly sums: SumKind; readonly room: PartRoom };

/** The source gave other bytes than it said. */
export class WrongSource extends Error {
  override readonly name = 'WrongSource';
}

/** All parts in order; throws WrongSource before the last one where they are not those of the digest. */
export async function* partsOf(source: ObjectSource, cut: Cut, signal: AbortSignal): AsyncGenerator<SourcePart> {
  const whole = createHash(digestAlgorithm(source.digest));
  let making: Making | undefined;
  let read = 0;
  let number = 0;
  const begin = async (): Promise<Making> => {
    const made = await Making.begin(Math.min(cut.size, source.size - read), cut, signal);
    making = made;
    return made;
  };
  try {
    for await (let chunk of source.read(0, source.size, signal)) {
      signal.throwIfAborted();
      whole.update(chunk);
      while (chunk.length > 0) {
        if (read === source.size) throw new WrongSource(`gave more than its ${source.size} bytes`);
        const open = making ?? (await begin());
        const taken = open.add(chunk);
        read += taken;
        chunk = chunk.subarray(taken);
        // The last one is given once the digest of all is right: what is wrong never becomes an object.
        if (!open.full || read === source.size) continue;
        making = undefined;
        yield open.part(++number);
      }
    }
    if (read < source.size) throw new WrongSource(`gave ${read} of its ${source.size} bytes`);
    if (whole.digest('hex') !== digestHex(source.digest))
      throw new WrongSource(`gave bytes that are not those of ${source.digest}`);
    const last = making ?? (await begin());
    making = undefined;
    yield last.part(++number);
  } finally {
    making?.drop();
  }
}

class Making {
  readonly #bytes: Buffer;
  readonly #summing: Summing;
  readonly #cut: Cut;
  #filled = 0;

  private constructor(bytes: number, cut: Cut) {
    // Not from Node's pool, which would be held as a whole.
    this.#bytes = Buffer.allocUnsafeSlow(bytes);
    this.#summing = new Summing(cut.sums);
    this.#cut = cut;
  }

  static async begin(bytes: number, cut: Cut, signal: AbortSignal): Promise<Making> {
    await cut.room.take(cut.size, signal);
    return new Making(bytes, cut);
  }

  get full(): boolean {
    return this.#filled === this.#bytes.length;
  }

  add(chunk: Uint8Array): number {
    const taken = Math.min(chunk.length, this.#bytes.length - this.#filled);
    const bytes = chunk.subarray(0, taken);
    this.#bytes.set(bytes, this.#filled);
    this.#summing.add(bytes);
    this.#filled += taken;
    return taken;
  }

  part(number: number): SourcePart {
    let given = false;
    const done = (): void => {
      if (!given) this.drop();
      given = true;
    };
    return { number, bytes: this.#bytes, sum: this.#summing.sum(), done };
  }

  drop(): void {
    this.#cut.room.give(this.#cut.size);
  }
}
