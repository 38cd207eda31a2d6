/**
 * Pulls of this agent: from the cache, else through the swarm, readable from the first byte.
 *
 * Rule 1: a pull runs while a client uses it, and `lingerMs` longer, for clients that ask range by
 *         range. Then it stops; what it verified stays on disk and the next pull resumes from it.
 * Rule 2: what the disk gives is verified as it is read; a corrupt piece comes again through the swarm.
 * Rule 3: asking for a blob's size joins no swarm.
 * Rule 4: a blob that was condemned is cut off from its readers at the next piece.
 * Rule 5: a blob that the cache has no room for is read as any other; it is gone when its pull stops, and said to be.
 */

import type { RunningPull } from '../core/contracts/agent.ts';
import { ApiError } from '../core/contracts/errors.ts';
import type { BlobIn, Digest } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import type { ByteRange } from '../core/oci/range.ts';
import type { CallContext } from '../platform/clients/context.ts';
import type { Tracking } from '../platform/clients/tracking.ts';
import type { Content } from '../platform/http/content.ts';
import type { PeerNode, Pull } from '../platform/peer/node.ts';
import { type Chunk, type ReaderArena, readRange } from '../platform/reader/read.ts';
import type { BlobEntry, BlobStore } from '../platform/store/store.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import type { PullLog } from './pull-log.ts';

export type PullsOptions = {
  readonly store: Pick<BlobStore, 'get' | 'entries' | 'remove' | 'usedBytes'>;
  readonly arena: ReaderArena;
  readonly node: Pick<PeerNode, 'pull' | 'stop' | 'drop' | 'lost'>;
  readonly tracking: Pick<Tracking, 'locate'>;
  readonly log: Logger;
  readonly history: PullLog;
  readonly lingerMs: number;
  readonly findMs: number;
  readonly nowMs: () => number;
  /** Told of every blob that came whole. */
  readonly onComplete?: (digest: Digest) => void;
};

type Running = {
  readonly digest: Digest;
  readonly pull: Pull;
  readonly startedMs: number;
  firstByteMs: number | undefined;
  /** Set where the cache has no room for the blob. */
  passing: { readonly bytes: number; lastByteMs: number } | undefined;
  users: number;
  linger: NodeJS.Timeout | undefined;
};

export class Pulls {
  readonly #options: PullsOptions;
  readonly #running = new Map<Digest, Running>();
  readonly #condemned = new WeakSet<BlobEntry>();

  constructor(options: PullsOptions) {
    this.#options = options;
  }

  /**
   * The blob, once its length is known; its bytes as they arrive. Throws BLOB_UNKNOWN where no origin
   * knows it, UNAVAILABLE where nobody could be asked.
   */
  async open(blob: BlobIn, asking: CallContext, mediaType: string = MEDIA.octets): Promise<Content> {
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
    const { store, tracking } = this.#options;
    const meta = store.get(blob.digest)?.meta ?? (await tracking.locate(blob, asking))?.meta;
    return meta?.length;
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
    return [...this.#running.values()].map(({ digest, users, startedMs, pull, passing }) => {
      const { bytesFromPeers, bytesFromOrigins } = pull.stats;
      const ms = this.#options.nowMs() - startedMs;
      return { digest, users, ms, bytesFromPeers, bytesFromOrigins, kept: passing === undefined };
    });
  }

  [Symbol.dispose](): void {
    for (const running of this.#running.values()) clearTimeout(running.linger);
    this.#running.clear();
  }

  async #entry(blob: BlobIn, asking: CallContext): Promise<BlobEntry> {
    return this.#options.store.get(blob.digest) ?? (await this.#learn(blob, asking));
  }

  async #learn(blob: BlobIn, asking: CallContext): Promise<BlobEntry> {
    const { findMs, log } = this.#options;
    const { digest, repo } = blob;
    const running = this.#use(blob);
    const late = AbortSignal.timeout(findMs);
    log.debug({ ...asking.ids, digest, repo }, 'pull begins');
    try {
      const entry = await running.pull.learned(AbortSignal.any([asking.signal, late]));
      if (entry.window !== undefined) this.#passes(running, entry);
      return entry;
    } catch (error) {
      asking.signal.throwIfAborted();
      if (!late.aborted) throw error;
      throw new ApiError(
        'UNAVAILABLE',
        `blob ${digest}: no peer told within ${findMs} ms what it consists of: try again`,
      );
    } finally {
      this.#unuse(running);
    }
  }

  /** There is no room for it. */
  #passes(running: Running, { meta }: BlobEntry): void {
    if (running.passing !== undefined) return;
    running.passing = { bytes: meta.length, lastByteMs: this.#options.nowMs() };
    const { log, history, store } = this.#options;
    history.passes();
    log.warn(
      { digest: running.digest, bytes: meta.length, cacheBytes: store.usedBytes },
      'not kept: cache full. The blob is streamed through; what is in use and this one do not fit in cache.budget, or on its disk',
    );
  }

  async *#read(
    found: BlobEntry,
    { range, repo }: { readonly range: ByteRange; readonly repo: string | undefined },
    asking: CallContext,
  ): AsyncGenerator<Chunk, void, undefined> {
    const { digest } = found;
    const blob = { digest, repo };
    // It may have been evicted, or have passed through, since it was found.
    const entry = found.gone && !this.#condemned.has(found) ? await this.#entry(blob, asking) : found;
    const used = new Set<Running>();
    const source = {
      entry,
      pull: () => {
        const running = this.#start(blob);
        if (!used.has(running)) used.add(this.#use(blob));
        return running.pull;
      },
      lost: (piece: number) => this.#options.node.lost(digest, piece),
    };
    try {
      for await (const chunk of readRange(source, this.#options.arena, range, asking.signal)) {
        if (this.#condemned.has(entry)) {
          chunk.release();
          throw new ApiError('UNAVAILABLE', `blob ${digest} is not what it claims to be, and was removed: ask again`);
        }
        for (const running of used) this.#gives(running, chunk.length);
        yield chunk;
      }
    } finally {
      for (const running of used) this.#unuse(running);
    }
  }

  #gives(running: Running, bytes: number): void {
    const nowMs = this.#options.nowMs();
    running.firstByteMs ??= nowMs - running.startedMs;
    if (running.passing === undefined) return;
    running.passing.lastByteMs = nowMs;
    this.#options.history.passed(bytes);
  }

  /** The running pull of the blob, or a new one. */
  #start({ digest, repo }: BlobIn): Running {
    const known = this.#running.get(digest);
    if (known !== undefined) return known;
    const { node, nowMs } = this.#options;
    const pull = node.pull(digest, { repo });
    const running: Running = {
      digest,
      pull,
      startedMs: nowMs(),
      firstByteMs: undefined,
      passing: undefined,
      users: 0,
      linger: undefined,
    };
    this.#running.set(digest, running);
    pull.complete.then(
      () => this.#ended(running, undefined),
      (error: Error) => this.#ended(running, error),
    );
    return running;
  }

  #use(blob: BlobIn): Running {
    const running = this.#start(blob);
    running.users++;
    clearTimeout(running.linger);
    return running;
  }

  #unuse(running: Running): void {
    running.users--;
    if (running.users > 0 || this.#running.get(running.digest) !== running) return;
    running.linger = setTimeout(() => this.#stop(running), this.#options.lingerMs);
  }

  /** Nobody wants it any more. */
  #stop(running: Running): void {
    const { node, log } = this.#options;
    if (running.passing === undefined)
      log.info({ digest: running.digest }, 'pull stopped: no client wants it any more');
    else this.#through(running, running.passing);
    this.#running.delete(running.digest);
    node.stop(running.digest);
  }

  /** The last client of a blob that was not kept has gone. */
  #through(running: Running, { bytes, lastByteMs }: NonNullable<Running['passing']>): void {
    const { history, log } = this.#options;
    const { digest, pull, startedMs, firstByteMs } = running;
    const ms = lastByteMs - startedMs;
    const { bytesFromPeers, bytesFromOrigins } = pull.stats;
    const end = { digest, bytes, bytesFromPeers, bytesFromOrigins, ms };
    history.add({ ...end, firstByteMs: firstByteMs ?? ms, kept: false });
    log.info(end, 'pull ended, not kept: cache full');
  }

  #ended(running: Running, error: Error | undefined): void {
    clearTimeout(running.linger);
    if (this.#running.get(running.digest) !== running) return;
    this.#running.delete(running.digest);
    const { digest, pull, startedMs, firstByteMs } = running;
    const ms = this.#options.nowMs() - startedMs;
    const bytes = this.#options.store.get(digest)?.meta.length ?? 0;
    const { bytesFromPeers, bytesFromOrigins } = pull.stats;
    if (error !== undefined && running.passing !== undefined) this.#through(running, running.passing);
    if (error !== undefined) {
      this.#options.log.info({ digest, ms, why: error.message }, 'pull ended');
      return;
    }
    const end = { digest, bytes, bytesFromPeers, bytesFromOrigins, ms };
    this.#options.history.add({ ...end, firstByteMs: firstByteMs ?? ms, kept: true });
    this.#options.log.info(end, 'pull complete');
    this.#options.onComplete?.(digest);
  }
}
