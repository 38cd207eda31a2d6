/**
 * Pulls of this agent: from the cache, else through the swarm, readable from the first byte.
 *
 * Rule 1: a pull is used while a client reads it. What becomes of it afterwards, its node knows (docs/pull.md); what it
 *         verified stays on disk, and the next pull resumes from it.
 * Rule 2: what the disk gives is verified as it is read; a corrupt piece comes again through the swarm.
 * Rule 3: asking for a blob's size joins no swarm.
 * Rule 4: a blob that was condemned is cut off from its readers at the next piece.
 * Rule 5: what is blocked (platform/blocks) is given to nobody, not even the rest of what somebody reads.
 * Rule 6: a blob that the cache has no room for is read as any other; it is gone when its pull stops, and said to be.
 */

import { type FinishedPull, finishedPullsMax, type RunningPull } from '../core/contracts/agent.ts';
import { ApiError } from '../core/contracts/errors.ts';
import type { BlobIn, Digest } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import type { ByteRange } from '../core/oci/range.ts';
import type { Blocked } from '../platform/blocks/blocks.ts';
import type { CallContext } from '../platform/clients/context.ts';
import type { Tracking } from '../platform/clients/tracking.ts';
import type { Content } from '../platform/http/content.ts';
import type { Time } from '../platform/net/clock.ts';
import type { PeerNode } from '../platform/peer/node.ts';
import type { PartEnd } from '../platform/peer/pulls/life.ts';
import type { Pull, PullUse, PullWatcher } from '../platform/peer/pulls/pull.ts';
import { type Chunk, type ReaderArena, readRange } from '../platform/reader/read.ts';
import type { BlobEntry, BlobStore } from '../platform/store/store.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import type { Metrics } from '../platform/telemetry/metrics.ts';

/** A blob that went from the cache while it was read is taken up again so often, for one client and range. */
const takenUpMax = 3;
/** Pulls of other repositories that a client sits through, at most, before its own is the one. */
const foreignPullsMax = 4;

export type PullsOptions = {
  readonly store: Pick<BlobStore, 'blobs' | 'get' | 'remove' | 'usedBytes'>;
  readonly arena: ReaderArena;
  readonly node: Pick<PeerNode, 'pull' | 'running' | 'drop' | 'lost'>;
  readonly tracking: Pick<Tracking, 'locate'>;
  readonly log: Logger;
  readonly history: PullLog;
  /** A range is given only once it is known that the blob is its digest's. */
  readonly strict?: boolean;
  /** Whether a container runtime on this host has it: then it is the cache's, too, from now on. */
  readonly shared?: (digest: Digest) => Promise<BlobEntry | undefined>;
  /** What is given to nobody; default: nothing. */
  readonly blocked?: Blocked | undefined;
  readonly clock: Time;
};

type Part = { readonly range: ByteRange; readonly repo: string | undefined };

export class Pulls {
  readonly #options: PullsOptions;
  readonly #condemned = new WeakSet<BlobEntry>();

  constructor(options: PullsOptions) {
    this.#options = options;
  }

  /**
   * The blob, once its length is known; its bytes as they arrive. Throws BLOB_UNKNOWN where no origin
   * knows it, UNAVAILABLE where nobody could be asked.
   */
  async open(blob: BlobIn, asking: CallContext, mediaType: string = MEDIA.octets): Promise<Content> {
    this.heed(blob.digest);
    const entry = await this.#entry(blob, asking);
    return {
      digest: blob.digest,
      mediaType,
      size: entry.meta.length,
      ranges: true,
      open: (start, end) => this.#read(entry, { range: { start, end }, repo: blob.repo }, asking),
    };
  }

  /** The blob's length in bytes, or undefined where no origin knows it. Downloads nothing. */
  async sizeOf(blob: BlobIn, asking: CallContext): Promise<number | undefined> {
    this.heed(blob.digest);
    const { store, tracking } = this.#options;
    const here = store.get(blob.digest);
    if (here !== undefined) return here.meta.length;
    const found = await tracking.locate(blob, asking);
    return found === undefined ? undefined : ('growth' in found ? found.growth : found.meta).length;
  }

  /** Throws DENIED of what is blocked. */
  heed(digest: Digest): void {
    const { blocked } = this.#options;
    const block = blocked?.list.get(digest);
    if (block !== undefined) throw blocked?.refused(block);
  }

  /** Removes the blob from cache and swarm; readers that have it open finish. False: it is not here. */
  async remove(digest: Digest): Promise<boolean> {
    const { store, node } = this.#options;
    if (store.get(digest) === undefined) return false;
    node.drop(digest);
    await store.remove(digest);
    return true;
  }

  /** It is not what it claims to be: nobody gets any more of it. */
  async condemn(entry: BlobEntry): Promise<void> {
    this.#condemned.add(entry);
    if (this.#options.store.get(entry.digest) === entry) await this.remove(entry.digest);
  }

  /** Pulls that run now. */
  running(): RunningPull[] {
    const nowMs = this.#options.clock.nowMs();
    return this.#options.node.running().map(({ digest, stats, entry }) => {
      const { users, startedMs, bytesFromPeers, bytesFromOrigins } = stats;
      const kept = entry?.window === undefined;
      return { digest, users, ms: nowMs - startedMs, bytesFromPeers, bytesFromOrigins, kept };
    });
  }

  async #entry(blob: BlobIn, asking: CallContext): Promise<BlobEntry> {
    const { store, shared } = this.#options;
    return store.get(blob.digest) ?? (await shared?.(blob.digest)) ?? (await this.#learn(blob, asking));
  }

  async #learn({ digest, repo }: BlobIn, asking: CallContext, before = 0): Promise<BlobEntry> {
    const pull = this.#options.node.pull(digest, { repo });
    using _ = pull.use();
    this.#options.log.debug({ ...asking.ids, digest, repo }, 'pull begins');
    try {
      return await pull.learned(asking.signal);
    } catch (error) {
      // What is unknown in the repository that another client asked in says nothing about ours.
      const foreign = error instanceof ApiError && error.code === 'BLOB_UNKNOWN' && pull.repo !== repo;
      if (!foreign || before >= foreignPullsMax) throw error;
    }
    return await this.#learn({ digest, repo }, asking, before + 1);
  }

  /** What goes while it is read (its file turned out to be damaged, and was dropped) is read on from where it stood. */
  async *#read(found: BlobEntry, part: Part, asking: CallContext): AsyncGenerator<Chunk, void, undefined> {
    const { repo, range } = part;
    let { start } = range;
    let entry = found;
    for (let times = 0; ; times++) {
      // It may have been evicted, or have passed through, since it was found.
      if (this.#went(entry)) entry = await this.#entry({ digest: found.digest, repo }, asking);
      try {
        for await (const chunk of this.#readOf(entry, { repo, range: { start, end: range.end } }, asking)) {
          start += chunk.length;
          yield chunk;
        }
        return;
      } catch (error) {
        if (times === takenUpMax || !this.#went(entry) || asking.signal.aborted) throw error;
      }
    }
  }

  /** It is not here any more, and nobody says that it was not the blob. */
  #went(entry: BlobEntry): boolean {
    return entry.gone && entry.revoked === undefined && !this.#condemned.has(entry);
  }

  async *#readOf(entry: BlobEntry, { range, repo }: Part, asking: CallContext): AsyncGenerator<Chunk, void, undefined> {
    const { digest } = entry;
    const used = new Map<Pull, PullUse>();
    const source = {
      entry,
      pull: () => {
        const pull = this.#options.node.pull(digest, { repo });
        if (!used.has(pull)) used.set(pull, pull.use());
        return pull;
      },
      lost: (piece: number) => this.#options.node.lost(digest, piece),
      strict: this.#options.strict === true,
      unproved: () => this.#options.history.unproved(),
    };
    try {
      for await (const chunk of readRange(source, this.#options.arena, range, asking.signal)) {
        if (this.#condemned.has(entry)) {
          chunk.release();
          throw new ApiError('UNAVAILABLE', `blob ${digest} is not what it claims to be, and was removed: ask again`);
        }
        if (this.#options.blocked?.list.has(digest) === true) {
          chunk.release();
          this.heed(digest);
        }
        for (const use of used.values()) use.gave();
        if (used.size > 0 && entry.window !== undefined) this.#options.history.passed(chunk.length);
        yield chunk;
      }
    } finally {
      for (const use of used.values()) use[Symbol.dispose]();
    }
  }
}

export type PullLogOptions = {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly clock: Time;
  /** Bytes in the cache. */
  readonly cacheBytes: () => number;
  /** Told of every blob that came whole. */
  readonly onComplete?: (digest: Digest) => void;
};

/** What is told of pulls: lines of the log, the latest ones for `status` and the demo's table, and their sums. */
export class PullLog implements PullWatcher {
  readonly #options: PullLogOptions;
  readonly #finished: FinishedPull[] = [];
  /** Pulls that finished since the start, of which `list` has the latest. */
  total = 0;
  readonly #count;
  readonly #seconds;
  readonly #bytes;
  readonly #notKept;
  readonly #passed;
  readonly #unproved;

  constructor(options: PullLogOptions) {
    const { metrics } = options;
    this.#options = options;
    this.#count = metrics.counter('pulls_total', 'Pulls that completed');
    this.#seconds = metrics.histogram('pull_duration_seconds', 'Duration of completed pulls, seconds');
    this.#bytes = metrics.counter('pull_bytes_total', 'Bytes of completed pulls by who sent them', ['from']);
    this.#notKept = metrics.counter('pulls_not_kept_total', 'Pulls of blobs that the cache had no room for');
    this.#passed = metrics.counter(
      'passed_bytes_total',
      'Bytes given to clients of blobs that the cache had no room for',
    );
    this.#unproved = metrics.counter(
      'ranges_unproved_total',
      'Ranges given to clients before an origin had received the whole blob and compared its digest',
    );
  }

  passes({ digest, entry }: Pull): void {
    this.#notKept.inc();
    this.#options.log.warn(
      { digest, bytes: entry?.meta.length, cacheBytes: this.#options.cacheBytes() },
      'not kept: cache full. The blob is streamed through; what is in use and this one do not fit in cache.budget, or on its disk',
    );
  }

  ended(pull: Pull, end: PartEnd, error: Error | undefined): void {
    const { log, clock, onComplete } = this.#options;
    const { digest, entry, stats } = pull;
    const ms = clock.nowMs() - stats.startedMs;
    if (error === undefined) {
      log.info(this.#add(pull, ms, true), 'pull complete');
      return onComplete?.(digest);
    }
    // The last client of a blob that was not kept has gone.
    if (entry?.window !== undefined)
      log.info(
        this.#add(pull, (stats.lastByteMs ?? clock.nowMs()) - stats.startedMs, false),
        'pull ended, not kept: cache full',
      );
    else if (end === 'unwanted') log.info({ digest }, 'pull stopped: no client wants it any more');
    if (end !== 'unwanted') log.info({ digest, ms, why: error.message }, 'pull ended');
  }

  /** A client got so many bytes of one. */
  passed(bytes: number): void {
    this.#passed.inc(bytes);
  }

  /** A client got all of a range of a blob whose digest was not known yet. */
  unproved(): void {
    this.#unproved.inc();
  }

  #add({ digest, entry, stats }: Pull, ms: number, kept: boolean): Omit<FinishedPull, 'firstByteMs' | 'kept'> {
    const { bytesFromPeers, bytesFromOrigins, firstByteMs, startedMs } = stats;
    const end = { digest, bytes: entry?.meta.length ?? 0, bytesFromPeers, bytesFromOrigins, ms };
    this.total++;
    this.#finished.push({ ...end, firstByteMs: firstByteMs === undefined ? ms : firstByteMs - startedMs, kept });
    if (this.#finished.length > finishedPullsMax) this.#finished.shift();
    if (!kept) return end;
    this.#count.inc();
    this.#seconds.observe(ms / 1000);
    this.#bytes.inc({ from: 'peers' }, bytesFromPeers);
    this.#bytes.inc({ from: 'origins' }, bytesFromOrigins);
    return end;
  }

  /** Oldest first. */
  list(): readonly FinishedPull[] {
    return this.#finished;
  }
}
