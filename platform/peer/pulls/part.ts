/**
 * A blob that this node takes part in, as the rest of the process sees it: who waits for what of it, and what the
 * swarm's and the store's word means for them. life.ts says what states there are and what ends each.
 *
 * Rule 1: a stall rejects those who wait; the pull itself goes on. Where the trackers know of nobody who holds the blob
 *   whole, a stall is seconds; that is asked of them as soon as nothing comes.
 * Rule 2: an error that is final (`fail`) rejects everything, and the part is done with.
 */

import { Bug } from '../../../core/assert.ts';
import { ApiError } from '../../../core/contracts/errors.ts';
import type { AnnounceAnswer } from '../../../core/contracts/tracker.ts';
import type { Digest } from '../../../core/digest.ts';
import type { BlobEntry } from '../../store/pieces/entry.ts';
import { askAfterMs, askAfterMsMax } from '../limits.ts';
import { type PartEnd, type PartState, partLife, waitEnds } from './life.ts';
import type { PullPace, Scoping } from './pacing.ts';
import type { BlobsHost, Pull, PullStats, PullUse, PullWatcher } from './pull.ts';
import { Waiters } from './waiters.ts';

export type PartHost = {
  nowMs(): number;
  readerAt(part: Part, reader: number, range: { at: number; end: number }): void;
  readerGone(part: Part, reader: number): void;
  /** Somebody waits for the piece. */
  waits(part: Part, piece: number): void;
  readonly lingerMs?: number | undefined;
  readonly watcher?: PullWatcher | undefined;
};

type Ends = Readonly<Record<string, { readonly to: PartState; readonly unusedMs?: number | 'linger' } | undefined>>;

/** `pulls`: the swarm is told to pull it, rather than only to feed it. `given`: by peers that were named with it. */
export type PartKind = {
  readonly pulls: boolean;
  readonly given: boolean;
  /** The repository that it is pulled in, where somebody said: for trackers and origins, not for peers. */
  readonly repo?: string | undefined;
  readonly pace?: PullPace | undefined;
};

export class Part implements Pull {
  readonly digest: Digest;
  readonly repo: string | undefined;
  readonly pulls: boolean;
  /** Peers were named with it: what trackers do not know does not end it. */
  readonly given: boolean;
  /** The swarm's number for it; undefined while the swarm does not know it. */
  no: number | undefined;
  entry: BlobEntry | undefined;
  /** While the store is about to make the entry, or an ordinary one of it: the entry then; undefined where it could not. */
  making: Promise<BlobEntry | undefined> | undefined;
  /** There is no room for the whole blob, or no hurry: which pieces are fetched when. */
  passage: Scoping | undefined;
  /** Whoever began it was in no hurry; and nobody is by now. */
  readonly paced: boolean;
  pace: PullPace | undefined;
  /** Pieces that the store has and has not answered for. */
  verifying = 0;
  /** When somebody used it last, or it began. */
  usedMs: number;
  /** When bytes of it last came, or it began. */
  progressMs: number;
  /** When bytes of it came last. */
  cameMs: number | undefined;
  /** No origin and no other node holds it whole, the trackers said last. */
  orphaned = false;
  /** When it asked its trackers because nothing came, and how long it waits before it asks again. */
  #askedMs = Number.NEGATIVE_INFINITY;
  #askAgainMs = askAfterMs;
  readonly stats: { -readonly [K in keyof PullStats]: PullStats[K] };
  #running = false;
  #state: PartState = 'seeking';
  readonly #host: PartHost;
  readonly #learned = new Waiters<BlobEntry>();
  readonly #pieces = new Map<number, Waiters<void>>();
  /** Those who wait until it is known that the blob is its digest's. */
  readonly #settled = new Waiters<void>();
  #done = Promise.withResolvers<void>();
  #nextReader = 0;
  #readers = 0;
  #unpin: (() => void) | undefined;
  #failure: Error | undefined;
  #why: string | undefined;

  constructor(digest: Digest, { pulls, given, repo, pace }: PartKind, host: PartHost) {
    this.digest = digest;
    this.repo = repo;
    this.pulls = pulls;
    this.given = given;
    [this.paced, this.pace] = [pace !== undefined, pace];
    this.#host = host;
    this.progressMs = host.nowMs();
    this.usedMs = this.progressMs;
    this.stats = {
      bytesFromPeers: 0,
      bytesFromOrigins: 0,
      startedMs: this.progressMs,
      firstByteMs: undefined,
      lastByteMs: undefined,
      users: 0,
    };
    this.complete.catch(() => undefined);
  }

  get state(): PartState {
    return this.#state;
  }

  /** Another promise each time that it begins anew. */
  get complete(): Promise<void> {
    return this.#done.promise;
  }

  /** Somebody waits for it or reads it. */
  get used(): boolean {
    const waiting = this.#learned.size + this.#pieces.size + this.#settled.size;
    return waiting > 0 || this.#readers > 0 || this.stats.users > 0;
  }

  /** Somebody read it, and it has not ended. */
  get running(): boolean {
    return this.#running;
  }

  use(): PullUse {
    const { stats } = this;
    stats.users++;
    if (!this.#running && this.#state !== 'held') this.#run();
    let open = true;
    return {
      gave: () => {
        stats.lastByteMs = this.#host.nowMs();
        stats.firstByteMs ??= stats.lastByteMs;
      },
      [Symbol.dispose]: () => {
        if (!open) return;
        open = false;
        stats.users--;
        this.usedMs = this.#host.nowMs();
      },
    };
  }

  /** Its entry is there, and pieces of it come. */
  get comes(): boolean {
    return this.#state === 'pulling' || this.#state === 'growing';
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
    this.#host.waits(this, piece);
    try {
      await arrival;
    } finally {
      if (waiters.size === 0 && this.#pieces.get(piece) === waiters) this.#pieces.delete(piece);
    }
  }

  async settled(signal?: AbortSignal): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.entry?.growth !== undefined) await this.#settled.wait(this.#host.nowMs(), signal);
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

  /** Leaves its state in the way that is named `end`. */
  go(end: PartEnd): void {
    const to = (partLife[this.#state].ends as Ends)[end]?.to;
    if (to === undefined) throw new Bug(`a blob that is '${this.#state}' cannot be '${end}'`);
    this.#state = to;
  }

  /** In which way it ends by now, as nobody has used it for so long; undefined: it goes on. */
  unused(nowMs: number): PartEnd | undefined {
    const ends: Ends = partLife[this.#state].ends;
    for (const end in ends) {
      const limit = ends[end]?.unusedMs ?? Infinity;
      const ms = limit !== 'linger' ? limit : this.#running ? (this.#host.lingerMs ?? Infinity) : Infinity;
      if (nowMs - this.usedMs > ms) return end as PartEnd;
    }
    return undefined;
  }

  /** The entry is there; it is not evicted while pieces are missing. */
  enter(entry: BlobEntry, end: PartEnd): void {
    this.go(end);
    this.entry = entry;
    this.progressMs = this.#host.nowMs();
    if (this.comes) this.#unpin ??= entry.pin();
    this.#learned.resolve(entry);
    if (this.#running && entry.window !== undefined) this.#host.watcher?.passes(this);
    if (!this.comes) this.#whole(end);
  }

  /** More of a blob that grows is known: whoever waits for the rest is not stalled. */
  grew(): void {
    this.progressMs = this.#host.nowMs();
    this.#askAgainMs = askAfterMs;
  }

  /** It does not grow any more. `received`: all of it came to this process. */
  settle(end: 'settled' | 'received'): void {
    this.go(end);
    this.grew();
    this.#settled.resolve();
    if (end === 'received') this.#whole(end);
  }

  /** The store is at work for it until this settles. */
  async makes(making: Promise<BlobEntry | undefined>): Promise<void> {
    this.making = making;
    await making;
    if (this.making === making) this.making = undefined;
  }

  /** What a tracker said with its answer: why nothing comes, as far as the origins know. */
  heard({ why, error }: Pick<AnnounceAnswer, 'why' | 'error'>, orphaned: boolean): void {
    this.orphaned = orphaned;
    if (error !== undefined || why !== undefined) this.#why = why;
  }

  /** Bytes of a piece came. */
  came(): void {
    this.#why = undefined;
    this.progressMs = this.#host.nowMs();
    this.cameMs = this.progressMs;
    this.#askAgainMs = askAfterMs;
    this.orphaned = false;
  }

  /** Whether it is time to ask the trackers: somebody waits for pieces, and none come. True once each time. */
  asks(nowMs: number): boolean {
    if (!this.comes || this.#pieces.size === 0 || nowMs - this.progressMs < askAfterMs) return false;
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
    this.go('lost');
    this.progressMs = this.#host.nowMs();
    this.#done = Promise.withResolvers<void>();
    this.complete.catch(() => undefined);
    this.#unpin ??= this.entry?.pin();
    if (this.stats.users > 0) this.#run();
  }

  finish(): void {
    this.go('complete');
    this.#whole('complete');
  }

  fail(end: PartEnd, error: Error): void {
    this.go(end);
    this.#failure = error;
    this.#learned.reject(error);
    for (const waiters of this.#pieces.values()) waiters.reject(error);
    this.#pieces.clear();
    this.#settled.reject(error);
    this.#release();
    this.#done.reject(error);
    this.#ended(end, error);
  }

  /** Rejects those who have waited too long, without ending the pull. */
  sweep(nowMs: number, limits: { readonly stallMs: number; readonly learnMs: number }): void {
    const { learn, stall, orphan } = waitEnds;
    this.#learned.rejectOlder(nowMs - limits.learnMs, () => {
      const text = `blob ${this.digest}: no tracker or peer told within ${limits.learnMs / 1000} s what it consists of`;
      return new ApiError(learn.code, `${text}${this.said}: try again`);
    });
    const stallMs = this.orphaned ? Math.min(orphan.ms, limits.stallMs) : limits.stallMs;
    if (nowMs - this.progressMs <= stallMs) return;
    this.#settled.rejectOlder(nowMs - stallMs, () => {
      const text = `blob ${this.digest}: no byte of it came for ${stallMs / 1000} s, and its digest is not known`;
      return new ApiError(stall.code, `${text}${this.said}: try again`);
    });
    for (const [piece, waiters] of this.#pieces) {
      waiters.rejectOlder(nowMs - stallMs, () => {
        if (this.orphaned) {
          const text = `piece ${piece} of blob ${this.digest} is on no origin, and no peer that is known has it`;
          return new ApiError(orphan.code, `${text}: push the blob again`);
        }
        const text = `blob ${this.digest}: no byte of it came for ${limits.stallMs / 1000} s, piece ${piece} is missing`;
        return new ApiError(
          stall.code,
          `${text}${this.said}: try again; /v1/status at the agent's admin port shows its pulls and peers`,
        );
      });
    }
  }

  /** What the origins said last, for a message. */
  get said(): string {
    return this.#why === undefined ? '' : ` (${this.#why})`;
  }

  /** From now on it is one that somebody reads. */
  #run(): void {
    if (this.#state === 'whole' || this.#state === 'ended') return;
    this.#running = true;
    this.stats.startedMs = this.#host.nowMs();
    this.stats.firstByteMs = undefined;
    this.stats.lastByteMs = undefined;
    if (this.entry?.window !== undefined) this.#host.watcher?.passes(this);
  }

  #ended(end: PartEnd, error: Error | undefined): void {
    if (!this.#running) return;
    this.#running = false;
    this.#host.watcher?.ended(this, end, error);
  }

  #whole(end: PartEnd): void {
    for (const waiters of this.#pieces.values()) waiters.resolve();
    this.#pieces.clear();
    this.#settled.resolve();
    this.#release();
    this.#done.resolve();
    this.#ended(end, undefined);
  }

  #release(): void {
    this.#unpin?.();
    this.#unpin = undefined;
  }
}

/** What parts ask of their node. `waits`: somebody waits for a piece. */
export function partHost(host: BlobsHost, waits: (part: Part, piece: number) => void): PartHost {
  const { nowMs, lingerMs, watcher } = host;
  return {
    nowMs,
    lingerMs,
    watcher,
    readerAt: ({ no, passage }, reader, { at, end }) => {
      if (no === undefined) return;
      host.input({ kind: 'reader', blob: no, reader, at, end });
      passage?.readerAt(reader, { at, end });
    },
    readerGone: ({ no, passage }, reader) => {
      if (no === undefined) return;
      host.input({ kind: 'readerGone', blob: no, reader });
      passage?.readerGone(reader);
    },
    waits: (part, piece) => {
      if (part.no === undefined) return;
      part.passage?.due();
      waits(part, piece);
    },
  };
}
