/**
 * One tracker as the announcer sees it: what it holds of us, what it is to be told, and when.
 *
 * Rule 1: `held` is what the tracker acknowledged; it is sent along as a number, so that either side
 *   notices when the other has forgotten. What was on its way to one that failed is told again, so that it is
 *   known what it holds: one that was silent for a while is told no more than that, and not everything anew.
 * Rule 2: the first that a tracker hears after a failure is what is sought, and nothing else; the rest comes when it has
 *   answered, and where it has forgotten, when it says (`rest`): thousands of hosts find out at once that it is back.
 */

import { type AnnounceEntry, type AnnounceReply, announceEntriesMax } from '../contracts/tracker.ts';
import type { Digest } from '../digest.ts';
import type { Metainfo } from '../piece.ts';
import type { PeerAddress } from '../wire/messages.ts';

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
  #firstAtMs = never;
  #sendAtMs = never;
  /** Until then only what is sought is told. */
  #quietUntilMs = Number.NEGATIVE_INFINITY;
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
    return Math.min(this.#firstAtMs, Math.max(this.#sendAtMs, this.#quietUntilMs), this.#renewAtMs);
  }

  /** The blob's state is to be told by `byMs`. */
  mark(digest: Digest, byMs: number): void {
    this.#marked.add(digest);
    this.#sendAtMs = Math.min(this.#sendAtMs, byMs);
  }

  /** The same, ahead of others where they do not fit one batch. */
  markFirst(digest: Digest, byMs: number): void {
    this.#first.add(digest);
    this.#firstAtMs = Math.min(this.#firstAtMs, byMs);
  }

  greet(byMs: number): void {
    this.#greets = true;
    this.#firstAtMs = Math.min(this.#firstAtMs, byMs);
  }

  /** Takes one batch of what was marked, as far as it may be told now. */
  take(nowMs: number): Set<Digest> {
    const batch = new Set<Digest>();
    const quiet = !this.up || nowMs < this.#quietUntilMs;
    for (const queue of quiet ? [this.#first] : [this.#first, this.#marked]) {
      for (const digest of queue) {
        if (batch.size === announceEntriesMax && !batch.has(digest)) break;
        batch.add(digest);
        queue.delete(digest);
      }
    }
    this.#firstAtMs = never;
    if (!quiet) this.#sendAtMs = never;
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
    if (this.#first.size > 0) this.#firstAtMs = nowMs;
    if (this.#marked.size > 0) this.#sendAtMs = nowMs;
  }

  failed(retryAtMs: number): void {
    for (const { digest } of this.flight?.sent ?? []) this.#marked.add(digest);
    this.flight = undefined;
    this.silent = false;
    this.failures++;
    this.#retryAtMs = retryAtMs;
    // What it asked for has not come.
    if (this.reset) this.#resyncedMs = Number.NEGATIVE_INFINITY;
  }

  /** The tracker does not know what we believe: the next request begins anew, and `untilMs` tells what is sought only. */
  forget(untilMs: number): void {
    this.held.clear();
    this.reset = true;
    this.#quietUntilMs = untilMs;
  }

  /** At most one full announce an interval, whatever the tracker says. */
  mayResync(nowMs: number): boolean {
    if (nowMs - this.#resyncedMs < this.#intervalMs) return false;
    this.#resyncedMs = nowMs;
    return true;
  }
}

/** What is announced of one blob. `at`: the target that it is announced to. `seek`: neighbours to ask for in the next batch. */
export type AnnouncedBlob = {
  readonly digest: Digest;
  order: readonly Target[];
  state: 'want' | 'have';
  meta: Metainfo | undefined;
  at: Target;
  /** The repository that it was sought in last. */
  repo: string | undefined;
  /** Hashes that we know, where we take the blob while it grows. */
  known: number | undefined;
  seek: number;
  unavailable: number;
};

/** As it is told. Only an origin's metainfo is believed, so only an origin sends it. */
export function entryOf(blob: AnnouncedBlob, role: PeerAddress['role']): AnnounceEntry {
  const { digest, state, seek, meta, repo, known } = blob;
  const asks =
    (seek > 0 || known !== undefined) && repo !== undefined ? { digest, state, seek, repo } : { digest, state, seek };
  const entry = known !== undefined && state === 'want' && meta === undefined ? { ...asks, known } : asks;
  return meta === undefined || role !== 'origin' ? entry : { ...entry, meta };
}
