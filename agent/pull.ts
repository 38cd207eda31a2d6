/**
 * Pulls of this agent: from the cache, else through the swarm, readable from the first byte.
 *
 * Rule 1: a pull runs while a client uses it, and `lingerMs` longer, for clients that ask range by
 *         range. Then it stops; what it verified stays on disk and the next pull resumes from it.
 * Rule 2: what the disk gives is verified as it is read; a corrupt piece comes again through the swarm.
 * Rule 3: asking for a blob's size joins no swarm.
 * Rule 4: a blob that was condemned is cut off from its readers at the next piece.
 */

import type { Tracking } from '../core/announce/tracking.ts';
import { ApiError } from '../core/contracts/errors.ts';
import type { Digest } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import type { ByteRange } from '../core/oci/range.ts';
import type { CallContext } from '../platform/clients/http.ts';
import type { PeerNode, Pull } from '../platform/peer/node.ts';
import { type Chunk, readRange } from '../platform/reader/read.ts';
import type { Content } from '../platform/registry/reply.ts';
import type { BlobEntry, BlobStore } from '../platform/store/store.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import type { Arena } from '../platform/workers/arena.ts';
import type { PullLog } from './pull-log.ts';

export type PullsOptions = {
  readonly store: BlobStore;
  readonly arena: Arena;
  readonly node: PeerNode;
  readonly tracking: Pick<Tracking, 'locate'>;
  readonly log: Logger;
  readonly history: PullLog;
  readonly lingerMs: number;
  readonly findMs: number;
  readonly nowMs: () => number;
  /** Told of every blob that came whole. */
  readonly onComplete?: (digest: Digest) => void;
};

/** Who asks, and until when. */
export type Asking = { readonly requestId: string; readonly signal: AbortSignal };

type Running = {
  readonly digest: Digest;
  readonly pull: Pull;
  readonly startedMs: number;
  firstByteMs: number | undefined;
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
  async open(digest: Digest, asking: Asking, mediaType: string = MEDIA.octets): Promise<Content> {
    const entry = this.#options.store.get(digest) ?? (await this.#learn(digest, asking));
    return {
      digest,
      mediaType,
      size: entry.meta.length,
      ranges: true,
      open: (start, end) => this.#read(entry, { start, end }, asking),
    };
  }

  /** The blob's length in bytes, or undefined where no origin knows it. Downloads nothing. */
  async sizeOf(digest: Digest, context: CallContext): Promise<number | undefined> {
    const { store, tracking } = this.#options;
    const meta = store.get(digest)?.meta ?? (await tracking.locate(digest, context.requestId))?.meta;
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
  running(): { digest: Digest; users: number; ms: number; bytesFromPeers: number; bytesFromOrigins: number }[] {
    return [...this.#running.values()].map(({ digest, users, startedMs, pull }) => {
      const { bytesFromPeers, bytesFromOrigins } = pull.stats;
      return { digest, users, ms: this.#options.nowMs() - startedMs, bytesFromPeers, bytesFromOrigins };
    });
  }

  [Symbol.dispose](): void {
    for (const running of this.#running.values()) clearTimeout(running.linger);
    this.#running.clear();
  }

  async #learn(digest: Digest, asking: Asking): Promise<BlobEntry> {
    const { findMs, log } = this.#options;
    const running = this.#use(digest);
    const late = AbortSignal.timeout(findMs);
    log.debug({ requestId: asking.requestId, digest }, 'pull begins');
    try {
      return await running.pull.learned(AbortSignal.any([asking.signal, late]));
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

  /** A client that paused kept nothing: what it read from may have been evicted meanwhile, and is fetched again. */
  async #present(opened: BlobEntry, asking: Asking): Promise<BlobEntry> {
    if (!opened.gone || this.#condemned.has(opened)) return opened;
    return this.#options.store.get(opened.digest) ?? (await this.#learn(opened.digest, asking));
  }

  async *#read(opened: BlobEntry, range: ByteRange, asking: Asking): AsyncGenerator<Chunk, void, undefined> {
    const { digest } = opened;
    const entry = await this.#present(opened, asking);
    const used = new Set<Running>();
    const source = {
      entry,
      pull: () => {
        const running = this.#start(digest);
        if (!used.has(running)) used.add(this.#use(digest));
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
        for (const running of used) running.firstByteMs ??= this.#options.nowMs() - running.startedMs;
        yield chunk;
      }
    } finally {
      for (const running of used) this.#unuse(running);
    }
  }

  /** The running pull of the blob, or a new one. */
  #start(digest: Digest): Running {
    const known = this.#running.get(digest);
    if (known !== undefined) return known;
    const { node, nowMs } = this.#options;
    const pull = node.pull(digest);
    const running: Running = { digest, pull, startedMs: nowMs(), firstByteMs: undefined, users: 0, linger: undefined };
    this.#running.set(digest, running);
    pull.complete.then(
      () => this.#ended(running, undefined),
      (error: Error) => this.#ended(running, error),
    );
    return running;
  }

  #use(digest: Digest): Running {
    const running = this.#start(digest);
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
    log.info({ digest: running.digest }, 'pull stopped: no client wants it any more');
    this.#running.delete(running.digest);
    node.stop(running.digest);
  }

  #ended(running: Running, error: Error | undefined): void {
    clearTimeout(running.linger);
    if (this.#running.get(running.digest) !== running) return;
    this.#running.delete(running.digest);
    const { digest, pull, startedMs, firstByteMs } = running;
    const ms = this.#options.nowMs() - startedMs;
    const bytes = this.#options.store.get(digest)?.meta.length ?? 0;
    const { bytesFromPeers, bytesFromOrigins } = pull.stats;
    if (error !== undefined) {
      this.#options.log.info({ digest, ms, why: error.message }, 'pull ended');
      return;
    }
    this.#options.history.add({ digest, bytes, bytesFromPeers, bytesFromOrigins, ms, firstByteMs: firstByteMs ?? ms });
    this.#options.log.info({ digest, bytes, ms, bytesFromPeers, bytesFromOrigins }, 'pull complete');
    this.#options.onComplete?.(digest);
  }
}
