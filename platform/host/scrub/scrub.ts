/**
 * Reads back what lies on the disk, all of it once in a bounded time, and has fetched again what rotted.
 *
 * Rule 1: a blob's list of piece hashes is compared with its root, and its bytes with its own digest; where these are
 *         not right, piece by piece with the list. So what cannot be told from right by its pieces is found as well.
 * Rule 2: what is found wrong is not served from that moment on: pieces that decayed are not held any more, and a blob
 *         that was never its digest's is removed. Both are fetched again from whoever has them.
 * Rule 3: in the order of the digests; after a restart from where it was. A round lasts `every`, evenly over the bytes;
 *         within it, it goes as `ScrubPace` lets it.
 * Rule 4: looking at a blob is no use of it: what is least recently used stays so.
 */

import { ApiError } from '../../../core/contracts/errors.ts';
import type { Digest } from '../../../core/digest.ts';
import type { RoleContext } from '../../lifecycle/role.ts';
import type { BlobEntry, BlobStore } from '../../store/store.ts';
import type { Logger } from '../../telemetry/log.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { Arena } from '../../workers/arena.ts';
import { SHARES } from '../../workers/arena.ts';
import type { ScrubConfig } from './config.ts';
import { nextBlobs } from './order.ts';
import { ScrubPace, wait } from './pace.ts';
import { type Round, ScrubProgress } from './progress.ts';

export type ScrubOptions = ScrubConfig & {
  readonly dir: string;
  readonly store: Pick<BlobStore, 'blobs' | 'get' | 'whole' | 'problemOf' | 'usedBytes'>;
  /** Who is busy holds memory of it. */
  readonly arena: Pick<Arena, 'freeBytes' | 'shareBytes'>;
  /** Its pieces match their list, and it is not its digest's: takes it out, and seeks it elsewhere. */
  readonly wrong: (entry: BlobEntry, why: ApiError) => Promise<void>;
  /** Pieces of it are not held any more: sees to it that they come again. Whoever watches the store was told. */
  readonly decayed: (entry: BlobEntry) => void;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Default: the wall clock. */
  readonly nowMs?: () => number;
};

type Found = 'right' | 'decayed' | 'wrong' | 'unread';

/** Waits are cut into these: the clock may be set, and the store fill. */
const waitMsMax = 30_000;
/** A round that is late by this part of `every` hurries, and says so in the log, once. */
const lateShare = 0.05;

export class Scrub {
  readonly #options: ScrubOptions;
  readonly #progress: ScrubProgress;
  readonly #pace: ScrubPace;
  readonly #ending = new AbortController();
  readonly #count: (found: Found, bytes: number) => void;
  readonly #running: Promise<void>;
  #round: Round | undefined;
  #warned = false;

  /** Begins. */
  constructor(options: ScrubOptions) {
    const { dir, log, arena, rate } = options;
    this.#options = options;
    this.#progress = new ScrubProgress(dir, log);
    const busy = (): boolean => SHARES.some((share) => arena.freeBytes(share) < arena.shareBytes(share));
    this.#pace = new ScrubPace({ bytesPerS: rate, busy, late: () => this.lateMs > options.every * lateShare });
    this.#count = this.#observe();
    this.#running = this.#run();
  }

  /** By how much the round lags behind; 0: not at all. */
  get lateMs(): number {
    const round = this.#round;
    if (round === undefined) return 0;
    return Math.max(0, this.#now() - this.#dueMs(round));
  }

  /** Of the bytes that are here, those looked at in this round: 0 to 1. */
  get share(): number {
    const { bytes = 0 } = this.#round ?? {};
    return Math.min(1, bytes / Math.max(1, this.#options.store.usedBytes));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
    if (this.#round !== undefined) await this.#progress.write(this.#round, true);
  }

  async #run(): Promise<void> {
    const { log } = this.#options;
    try {
      this.#round = await this.#progress.read(this.#now());
      for (;;) this.#round = await this.#step(this.#round);
    } catch (error) {
      if (!this.#ending.signal.aborted)
        log.error({ err: error }, 'the scrub has ended: what rots is found when it is read');
    }
  }

  /** A batch, or the end of a round. */
  async #step(round: Round): Promise<Round> {
    const { store, every, log } = this.#options;
    const batch = await nextBlobs(store, round.last);
    if (batch.length === 0) {
      await this.#until(() => round.startedMs + every);
      if (round.bytes > 0) log.info({ bytes: round.bytes }, 'scrub: everything on the disk was read back once');
      this.#warned = false;
      return { startedMs: this.#now(), last: undefined, bytes: 0 };
    }
    let at = round;
    for (const digest of batch) {
      await this.#until(() => this.#dueMs(at));
      this.#warn();
      at = { ...at, last: digest, bytes: at.bytes + (await this.#look(digest)) };
      this.#round = at;
      await this.#progress.write(at);
    }
    return at;
  }

  /** When the next blob's turn comes, as the bytes before it have it. */
  #dueMs({ startedMs, bytes }: Round): number {
    const { store, every } = this.#options;
    return startedMs + every * Math.min(1, bytes / Math.max(1, store.usedBytes));
  }

  async #until(dueMs: () => number): Promise<void> {
    for (;;) {
      const ms = dueMs() - this.#now();
      if (ms <= 0) return;
      await wait(Math.min(ms, waitMsMax), this.#ending.signal);
    }
  }

  /** Bytes of the blob. */
  async #look(digest: Digest): Promise<number> {
    const { store, log } = this.#options;
    const { signal } = this.#ending;
    const entry = store.get(digest);
    if (entry?.complete !== true) return 0;
    const { length } = entry.meta;
    const unpin = entry.pin();
    try {
      // A file that is gone or short is told to whoever mends by this.
      if ((await store.whole(digest, 'size')) === undefined) this.#found(entry, 'decayed', 'its file is gone or short');
      else await this.#judge(entry, await store.problemOf(entry, signal, (bytes) => this.#pace.take(bytes, signal)));
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ApiError)) log.warn({ digest, err: error }, 'scrub: a blob could not be looked at');
      this.#count('unread', 0);
    } finally {
      unpin();
    }
    return length;
  }

  async #judge(entry: BlobEntry, problem: ApiError | undefined): Promise<void> {
    const { store, wrong, log } = this.#options;
    const { digest } = entry;
    this.#ending.signal.throwIfAborted();
    if (problem === undefined) return this.#count('right', entry.meta.length);
    if (!entry.complete && !entry.gone) return this.#found(entry, 'decayed', problem.message);
    if (problem.code !== 'DIGEST_INVALID' || store.get(digest) !== entry) return this.#count('unread', 0);
    this.#count('wrong', entry.meta.length);
    log.error({ digest, why: problem.message }, 'scrub: a blob is not what its digest says: it is removed, and sought');
    await wrong(entry, problem);
  }

  #found(entry: BlobEntry, found: 'decayed', why: string): void {
    const { decayed, log } = this.#options;
    this.#count(found, entry.meta.length);
    log.error({ digest: entry.digest, why }, 'scrub: a blob has decayed on the disk: it is fetched again');
    decayed(entry);
  }

  #warn(): void {
    const { every, rate, log } = this.#options;
    if (this.#warned || this.lateMs < every * lateShare) return;
    this.#warned = true;
    log.warn(
      { lateS: Math.round(this.lateMs / 1000), rate },
      'scrub: what is here cannot be read within `scrub.every`',
    );
  }

  #observe(): (found: Found, bytes: number) => void {
    const { metrics } = this.#options;
    const blobs = metrics.counter(
      'scrubbed_blobs_total',
      'Blobs that were read back from the disk, by what was found',
      ['result'],
    );
    const read = metrics.counter('scrubbed_bytes_total', 'Bytes that were read back from the disk');
    metrics.observed('scrub_round', 'How much of what is on the disk was read back in this round', () => this.share);
    metrics.observed('scrub_late_seconds', 'How far the scrub lags behind `scrub.every`', () => this.lateMs / 1000);
    metrics.observed('scrub_put_off', 'Portions that the scrub put off for others', () => this.#pace.counts.putOff);
    for (const result of ['right', 'decayed', 'wrong', 'unread'] as const) blobs.inc({ result }, 0);
    return (result, bytes) => {
      blobs.inc({ result });
      read.inc(bytes);
    };
  }

  #now(): number {
    return (this.#options.nowMs ?? Date.now)();
  }
}

/** Of a role; ends with the stack. */
export function beginScrub(
  { config, log, metrics }: RoleContext<{ readonly data: string; readonly scrub: ScrubConfig }>,
  parts: Pick<ScrubOptions, 'store' | 'arena' | 'wrong' | 'decayed'>,
  stack: AsyncDisposableStack,
): void {
  stack.use(new Scrub({ ...parts, ...config.scrub, dir: config.data, log, metrics }));
}
