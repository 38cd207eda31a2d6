/**
 * One tracker as the announcer sees it: what it holds of us, what it is to be told, and when.
 *
 * Rule: `held` is what the tracker acknowledged; it is sent along as a number, so that either side
 * notices when the other has forgotten.
 */

import { type AnnounceReply, announceEntriesMax } from '../contracts/tracker.ts';
import type { Digest } from '../digest.ts';

/** A request on its way. `put`: the entry makes or keeps a lease, otherwise ends it. */
export type AnnounceFlight = {
  readonly request: number;
  readonly sent: { readonly digest: Digest; readonly put: boolean; readonly seek: number }[];
};

const never = Number.POSITIVE_INFINITY;

export class Target {
  readonly id: string;
  /** Leases that the tracker acknowledged. */
  held = new Set<Digest>();
  flight: AnnounceFlight | undefined = undefined;
  /** The next request has the tracker forget us first: what it holds is not known. */
  reset = false;
  /** Its request has been on its way for longer than a seek waits. */
  silent = false;
  /** Requests that failed in a row. */
  failures = 0;
  /** It is to speak once, whether there is anything to announce or not. */
  #greets = false;
  readonly #first = new Set<Digest>();
  readonly #marked = new Set<Digest>();
  #sendAtMs = never;
  #renewAtMs = never;
  #retryAtMs = never;
  #resyncedMs = Number.NEGATIVE_INFINITY;
  #intervalMs: number;

  constructor(id: string, intervalMs: number) {
    this.id = id;
    this.#intervalMs = intervalMs;
  }

  get up(): boolean {
    return this.failures === 0;
  }

  /** When a request is due; a tracker that is down is tried only where there is something to announce at all. */
  deadlineMs(anyBlobs: boolean): number {
    if (this.flight !== undefined) return never;
    if (!this.up) return anyBlobs || this.#greets ? this.#retryAtMs : never;
    return Math.min(this.#sendAtMs, this.#renewAtMs);
  }

  /** The blob's state is to be told by `byMs`. */
  mark(digest: Digest, byMs: number): void {
    this.#marked.add(digest);
    this.#sendAtMs = Math.min(this.#sendAtMs, byMs);
  }

  /** The same, ahead of others where they do not fit one batch. */
  markFirst(digest: Digest, byMs: number): void {
    this.#first.add(digest);
    this.#sendAtMs = Math.min(this.#sendAtMs, byMs);
  }

  greet(byMs: number): void {
    this.#greets = true;
    this.#sendAtMs = Math.min(this.#sendAtMs, byMs);
  }

  /** Takes one batch of what was marked. */
  take(): Set<Digest> {
    const batch = new Set<Digest>();
    for (const queue of [this.#first, this.#marked]) {
      for (const digest of queue) {
        if (batch.size === announceEntriesMax && !batch.has(digest)) break;
        batch.add(digest);
        queue.delete(digest);
      }
    }
    this.#sendAtMs = never;
    return batch;
  }

  worthAsking(nowMs: number): boolean {
    return !this.up || this.#greets || (this.held.size > 0 && this.#renewAtMs <= nowMs);
  }

  /** There was nothing to say after all. */
  rest(): void {
    if (this.held.size === 0) this.#renewAtMs = never;
  }

  /** Notes the request; tells how many leases the tracker has once it is applied. */
  fly(flight: AnnounceFlight): number {
    this.flight = flight;
    let held = this.held.size;
    for (const { digest, put } of flight.sent) {
      if (put !== this.held.has(digest)) held += put ? 1 : -1;
    }
    return held;
  }

  /** The request was answered. `jitter` in [0, 1) spreads the renewals. */
  landed(reply: AnnounceReply, nowMs: number, jitter: number): void {
    for (const { digest, put } of (this.flight as AnnounceFlight).sent) {
      if (put) this.held.add(digest);
      else this.held.delete(digest);
    }
    this.flight = undefined;
    this.silent = false;
    this.reset = false;
    this.failures = 0;
    this.#greets = false;
    this.#intervalMs = reply.intervalMs;
    this.#renewAtMs = this.held.size > 0 ? nowMs + this.#intervalMs * (0.8 + 0.2 * jitter) : never;
    if (this.#first.size + this.#marked.size > 0) this.#sendAtMs = nowMs;
  }

  failed(retryAtMs: number): void {
    this.flight = undefined;
    this.silent = false;
    this.failures++;
    this.#retryAtMs = retryAtMs;
    this.forget();
  }

  /** What the tracker holds of us is not known: the next request begins anew. */
  forget(): void {
    this.held.clear();
    this.reset = true;
  }

  /** At most one full announce an interval, whatever the tracker says. */
  mayResync(nowMs: number): boolean {
    if (nowMs - this.#resyncedMs < this.#intervalMs) return false;
    this.#resyncedMs = nowMs;
    return true;
  }
}
