/**
 * How many blobs each client may have the origins asked of for nothing: what no origin has. A bucket a client, which
 * fills by itself; what was found gives back what it took.
 *
 * Rule 1: a host that pulls what there is is never held up: only blobs that nobody has cost anything.
 * Rule 2: memory is bounded. The client that asked longest ago is forgotten first, which fills its bucket.
 */

import { Lru } from './lru.ts';

/** Hosts ask for what an index names, so all of these are mistakes; an image of a hundred layers that are lost is one. */
export const lookupsAtOnce = 256;
/** Of these, so many a second come back. */
const backPerS = 1 / 4;
/** Clients that are remembered: a hundred bytes each. */
const clientsMax = 16_384;

type Bucket = { left: number; atMs: number };

export class LookupAllowance {
  readonly most: number;
  readonly #buckets = new Lru<string, Bucket>(clientsMax, () => 1);
  #refused = 0;

  /** `most`: at once. */
  constructor(most: number) {
    this.most = most;
  }

  /** Questions that were not put, since the start. */
  get refused(): number {
    return this.#refused;
  }

  get clients(): number {
    return this.#buckets.size;
  }

  /** One more question for `client`; false: it has asked too often for what nobody has. */
  take(client: string, nowMs: number): boolean {
    const bucket = this.#filled(client, nowMs);
    if (bucket.left < 1) {
      this.#refused++;
      return false;
    }
    bucket.left -= 1;
    return true;
  }

  /** It was not for nothing. */
  giveBack(client: string, nowMs: number): void {
    const bucket = this.#filled(client, nowMs);
    bucket.left = Math.min(this.most, bucket.left + 1);
  }

  #filled(client: string, nowMs: number): Bucket {
    const known = this.#buckets.get(client);
    if (known === undefined) {
      const full = { left: this.most, atMs: nowMs };
      this.#buckets.set(client, full);
      return full;
    }
    const came = (Math.max(0, nowMs - known.atMs) / 1000) * this.most * backPerS;
    known.left = Math.min(this.most, known.left + came);
    known.atMs = nowMs;
    return known;
  }
}
