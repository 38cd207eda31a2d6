/**
 * Memory for bodies that are read whole (manifests), bounded over all requests of a process.
 *
 * Rule: one client may have most of it, and never the last eighth, which is for clients that hold little. What a
 *       body may come to is counted when it begins, since whoever sends it slowly holds it for long.
 */

import { ApiError } from '../../core/contracts/errors.ts';

/** 64 manifests of the largest size, or tens of thousands as they are. */
export const wholeBodiesBytesMax = 256 * 1024 * 1024;
const reservedShare = 1 / 8;
const littleShare = 1 / 32;

export class WholeBodies {
  readonly #limit: number;
  readonly #held = new Map<string, number>();
  #bytes = 0;

  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Counts `bytes` for the client until what this answers is called, once. TOOMANYREQUESTS. */
  hold(client: string, bytes: number): () => void {
    const own = this.#held.get(client) ?? 0;
    const little = own + bytes <= this.#limit * littleShare;
    if (this.#bytes + bytes > this.#limit * (little ? 1 : 1 - reservedShare)) {
      throw new ApiError('TOOMANYREQUESTS', `bodies of ${this.#bytes} bytes are being read: try again later`);
    }
    this.#add(client, bytes);
    return () => this.#add(client, -bytes);
  }

  #add(client: string, bytes: number): void {
    const own = (this.#held.get(client) ?? 0) + bytes;
    this.#bytes += bytes;
    if (own === 0) this.#held.delete(client);
    else this.#held.set(client, own);
  }
}
