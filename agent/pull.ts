/**
 * Pulls of this agent: from the cache, else through the swarm, readable from the first byte.
 *
 * Rule 1: a pull is used while a client reads it. What becomes of it afterwards, its node knows (docs/pull.md); what it
 *         verified stays on disk, and the next pull resumes from it.
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
import type { PeerNode } from '../platform/peer/node.ts';
import type { Pull, PullUse } from '../platform/peer/pulls/pull.ts';
import { type Chunk, type ReaderArena, readRange } from '../platform/reader/read.ts';
import type { BlobEntry, BlobStore } from '../platform/store/store.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import type { PullLog } from './pull-log.ts';

export type PullsOptions = {
  readonly store: Pick<BlobStore, 'get' | 'entries' | 'remove' | 'usedBytes'>;
  readonly arena: ReaderArena;
  readonly node: Pick<PeerNode, 'pull' | 'running' | 'drop' | 'lost'>;
  readonly tracking: Pick<Tracking, 'locate'>;
  readonly log: Logger;
  readonly history: PullLog;
  readonly nowMs: () => number;
};

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
    const nowMs = this.#options.nowMs();
    return this.#options.node.running().map(({ digest, stats, entry }) => {
      const { users, startedMs, bytesFromPeers, bytesFromOrigins } = stats;
      const kept = entry?.window === undefined;
      return { digest, users, ms: nowMs - startedMs, bytesFromPeers, bytesFromOrigins, kept };
    });
  }

  async #entry(blob: BlobIn, asking: CallContext): Promise<BlobEntry> {
    return this.#options.store.get(blob.digest) ?? (await this.#learn(blob, asking));
  }

  async #learn({ digest, repo }: BlobIn, asking: CallContext): Promise<BlobEntry> {
    const pull = this.#options.node.pull(digest, { repo });
    using _ = pull.use();
    this.#options.log.debug({ ...asking.ids, digest, repo }, 'pull begins');
    return await pull.learned(asking.signal);
  }

  async *#read(
    found: BlobEntry,
    { range, repo }: { readonly range: ByteRange; readonly repo: string | undefined },
    asking: CallContext,
  ): AsyncGenerator<Chunk, void, undefined> {
    const { digest } = found;
    // It may have been evicted, or have passed through, since it was found.
    const entry = found.gone && !this.#condemned.has(found) ? await this.#entry({ digest, repo }, asking) : found;
    const used = new Map<Pull, PullUse>();
    const source = {
      entry,
      pull: () => {
        const pull = this.#options.node.pull(digest, { repo });
        if (!used.has(pull)) used.set(pull, pull.use());
        return pull;
      },
      lost: (piece: number) => this.#options.node.lost(digest, piece),
    };
    try {
      for await (const chunk of readRange(source, this.#options.arena, range, asking.signal)) {
        if (this.#condemned.has(entry)) {
          chunk.release();
          throw new ApiError('UNAVAILABLE', `blob ${digest} is not what it claims to be, and was removed: ask again`);
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
