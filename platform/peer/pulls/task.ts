/**
 * One blob's part in the swarm, as the rest of the process sees it: who waits for what, and what the
 * swarm's verdicts mean for them.
 *
 * Rule 1: a stall rejects those who wait; the pull itself goes on. Where the trackers know of nobody who holds the blob
 *   whole, a stall is seconds; that is asked of them as soon as nothing comes.
 * Rule 2: an error that is final (`fail`) rejects everything, and the task is done with.
 */

import { AGENT } from '../../../core/contracts/agent.ts';
import { ApiError } from '../../../core/contracts/errors.ts';
import type { Digest } from '../../../core/digest.ts';
import type { BlobEntry } from '../../store/pieces/entry.ts';
import { askAfterMs, askAfterMsMax, orphanStallMs } from '../limits.ts';
import { Waiters } from './waiters.ts';

export interface Pull {
  readonly digest: Digest;
  /**
   * The blob's entry, once metainfo and hash list are known. Rejects with BLOB_UNKNOWN (no origin knows it),
   * UNAVAILABLE (nobody told in time), STORAGE_FULL, or the signal's reason.
   */
  learned(signal?: AbortSignal): Promise<BlobEntry>;
  /** The piece is on disk, verified. Rejects with SWARM_STALLED, what `fail` was given, or the signal's reason. */
  waitFor(piece: number, signal?: AbortSignal): Promise<void>;
  /** A reader stands at piece `at` and reads up to `end`, exclusive. */
  reader(at: number, end: number): { move(at: number): void; close(): void };
  /** Every piece is on disk. Nobody has to listen to it. */
  readonly complete: Promise<void>;
  readonly stats: { readonly bytesFromPeers: number; readonly bytesFromOrigins: number; readonly startedMs: number };
}

export type TaskHost = {
  nowMs(): number;
  readerAt(task: Task, reader: number, range: { at: number; end: number }): void;
  readerGone(task: Task, reader: number): void;
  /** Somebody waits for a piece. */
  waits(task: Task): void;
};

/** seeking: not in the store yet. pulling: its entry is there, pieces are missing. held: all of them are there. */
export type TaskState = 'seeking' | 'pulling' | 'held' | 'ended';

export class Task implements Pull {
  readonly digest: Digest;
  /** The swarm's number for it; undefined while the swarm does not know it. */
  no: number | undefined;
  state: TaskState = 'seeking';
  entry: BlobEntry | undefined;
  /** A small blob that came whole with the tracker's answer is being stored. */
  inline = false;
  /** When bytes of it last came, or it began. */
  progressMs: number;
  /** When bytes of it came last. */
  cameMs: number | undefined;
  /** No origin and no other node holds it whole, the trackers said last. */
  orphaned = false;
  /** When it asked its trackers because nothing came, and how long it waits before it asks again. */
  #askedMs = Number.NEGATIVE_INFINITY;
  #askAgainMs = askAfterMs;
  readonly stats: { bytesFromPeers: number; bytesFromOrigins: number; readonly startedMs: number };
  readonly #host: TaskHost;
  readonly #learned = new Waiters<BlobEntry>();
  readonly #pieces = new Map<number, Waiters<void>>();
  #done = Promise.withResolvers<void>();
  #nextReader = 0;
  #readers = 0;
  #unpin: (() => void) | undefined;
  #failure: Error | undefined;

  constructor(digest: Digest, host: TaskHost) {
    this.digest = digest;
    this.#host = host;
    this.progressMs = host.nowMs();
    this.stats = { bytesFromPeers: 0, bytesFromOrigins: 0, startedMs: this.progressMs };
    this.complete.catch(() => undefined);
  }

  /** Another promise each time that it begins anew. */
  get complete(): Promise<void> {
    return this.#done.promise;
  }

  /** Somebody waits for it or reads it. */
  get used(): boolean {
    return this.#learned.size > 0 || this.#pieces.size > 0 || this.#readers > 0;
  }

  /** Pieces that somebody waits for, the one that has been waited for longest first. */
  waited(): IterableIterator<number> {
    return this.#pieces.keys();
  }

  async learned(signal?: AbortSignal): Promise<BlobEntry> {
    if (this.#failure !== undefined) throw this.#failure;
    return this.entry ?? (await this.#learned.wait(this.#host.nowMs(), signal));
  }

  async waitFor(piece: number, signal?: AbortSignal): Promise<void> {
    if (this.entry?.has(piece)) return;
    if (this.#failure !== undefined) throw this.#failure;
    const waiters = this.#pieces.get(piece) ?? new Waiters<void>();
    this.#pieces.set(piece, waiters);
    const arrival = waiters.wait(this.#host.nowMs(), signal);
    this.#host.waits(this);
    try {
      await arrival;
    } finally {
      if (waiters.size === 0 && this.#pieces.get(piece) === waiters) this.#pieces.delete(piece);
    }
  }

  reader(at: number, end: number): { move(at: number): void; close(): void } {
    const reader = this.#nextReader++;
    let open = true;
    this.#readers++;
    this.#host.readerAt(this, reader, { at, end });
    return {
      move: (to) => {
        if (open && to !== at) this.#host.readerAt(this, reader, { at: to, end });
      },
      close: () => {
        if (!open) return;
        open = false;
        this.#readers--;
        this.#host.readerGone(this, reader);
      },
    };
  }

  // ---- for the node ----------------------------------------------------------------------------

  /** The entry is there; it is not evicted while pieces are missing. */
  enter(entry: BlobEntry): void {
    this.entry = entry;
    this.state = entry.complete ? 'held' : 'pulling';
    this.progressMs = this.#host.nowMs();
    if (!entry.complete) this.#unpin ??= entry.pin();
    this.#learned.resolve(entry);
    if (entry.complete) this.finish();
  }

  /** Bytes of a piece came. */
  came(): void {
    this.progressMs = this.#host.nowMs();
    this.cameMs = this.progressMs;
    this.#askAgainMs = askAfterMs;
    this.orphaned = false;
  }

  /** Whether it is time to ask the trackers: somebody waits for pieces, and none come. True once each time. */
  asks(nowMs: number): boolean {
    if (this.state !== 'pulling' || this.#pieces.size === 0 || nowMs - this.progressMs < askAfterMs) return false;
    // What is believed to be nowhere is looked for as often as somebody waits: it may have been pushed again.
    if (nowMs - this.#askedMs < (this.orphaned ? askAfterMs : this.#askAgainMs)) return false;
    this.#askedMs = nowMs;
    this.#askAgainMs = Math.min(askAfterMsMax, 2 * this.#askAgainMs);
    return true;
  }

  held(piece: number): void {
    this.came();
    this.#pieces.get(piece)?.resolve();
    this.#pieces.delete(piece);
  }

  /** The disk would not take the piece. */
  refused(piece: number, error: Error): void {
    this.#pieces.get(piece)?.reject(error);
    this.#pieces.delete(piece);
  }

  /** A piece of a whole blob went bad: it is pulled again. */
  reopen(): void {
    if (this.state !== 'held') return;
    this.state = 'pulling';
    this.progressMs = this.#host.nowMs();
    this.#done = Promise.withResolvers<void>();
    this.complete.catch(() => undefined);
    this.#unpin ??= this.entry?.pin();
  }

  finish(): void {
    this.state = 'held';
    for (const waiters of this.#pieces.values()) waiters.resolve();
    this.#pieces.clear();
    this.#release();
    this.#done.resolve();
  }

  fail(error: Error): void {
    if (this.state === 'ended') return;
    this.state = 'ended';
    this.#failure = error;
    this.#learned.reject(error);
    for (const waiters of this.#pieces.values()) waiters.reject(error);
    this.#pieces.clear();
    this.#release();
    this.#done.reject(error);
  }

  /** Rejects those who have waited too long, without ending the pull. */
  sweep(nowMs: number, limits: { readonly stallMs: number; readonly learnMs: number }): void {
    this.#learned.rejectOlder(nowMs - limits.learnMs, () => {
      const text = `blob ${this.digest}: no tracker or peer told within ${limits.learnMs / 1000} s what it consists of`;
      return new ApiError('UNAVAILABLE', `${text}: try again`);
    });
    const stallMs = this.orphaned ? Math.min(orphanStallMs, limits.stallMs) : limits.stallMs;
    if (nowMs - this.progressMs <= stallMs) return;
    for (const [piece, waiters] of this.#pieces) {
      waiters.rejectOlder(nowMs - stallMs, () => {
        if (this.orphaned) {
          const text = `piece ${piece} of blob ${this.digest} is on no origin, and no peer that is known has it`;
          return new ApiError('BLOB_UNKNOWN', `${text}: push the blob again`);
        }
        const text = `blob ${this.digest}: no byte of it came for ${limits.stallMs / 1000} s, piece ${piece} is missing`;
        return new ApiError(
          'SWARM_STALLED',
          `${text}: try again; ${AGENT.status.pattern} at the agent's admin port shows its pulls and peers`,
        );
      });
    }
  }

  #release(): void {
    this.#unpin?.();
    this.#unpin = undefined;
  }
}
