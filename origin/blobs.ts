/**
 * What this origin holds: reading it, describing it, taking it over from another origin, removing it.
 *
 * Rule 1: a blob counts as held when the store says complete, which for an origin's store means
 *         synced and checked against its digest, also where it was taken over from another origin.
 * Rule 2: what the store believes is looked at before it is told (store/pieces/believed.ts). What turns out to be missing or
 *         damaged is answered as if it were not here, so that others are asked and clients push it, and is fetched again.
 * Rule 3: an origin holds no swarm state for a blob that nobody asks for: the peer takes the entry
 *         from `forPeer` on the first Open.
 */

import { ApiError } from '../core/contracts/errors.ts';
import { inlineBytesMax } from '../core/contracts/fields.ts';
import type { BlobInfo, FetchRequest } from '../core/contracts/origin.ts';
import type { Digest } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import type { ByteRange } from '../core/oci/range.ts';
import type { Content } from '../platform/http/content.ts';
import type { PeerNode } from '../platform/peer/node.ts';
import { type Chunk, type ReaderArena, readRange } from '../platform/reader/read.ts';
import type { Proof } from '../platform/store/pieces/believed.ts';
import type { BlobEntry, BlobStore } from '../platform/store/store.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import type { Mending } from './mending.ts';

/** Blobs taken over at a time; the origin that offers more asks again later. */
export const fetchesMax = 16;

export type BlobsOptions = {
  readonly store: BlobStore;
  readonly arena: ReaderArena;
  readonly node: Pick<PeerNode, 'self' | 'pull' | 'receives' | 'lost' | 'arrived' | 'drop'>;
  readonly mending: Mending;
  readonly log: Logger;
};

export class OriginBlobs {
  readonly #options: BlobsOptions;
  /** Being taken over. */
  readonly #fetching = new Map<Digest, Promise<void>>();

  constructor(options: BlobsOptions) {
    this.#options = options;
  }

  /** The blob's entry. BLOB_UNKNOWN where it is not here whole, UNAVAILABLE where the disk does not say. */
  async held(digest: Digest, proof: Proof = 'size'): Promise<BlobEntry> {
    const entry = await this.#options.store.whole(digest, proof);
    if (entry !== undefined) return entry;
    const here = this.#options.store.get(digest) !== undefined;
    throw new ApiError('BLOB_UNKNOWN', `blob ${digest} is not ${here ? 'whole ' : ''}on this origin`);
  }

  /**
   * As `held`, a sample of it looked at; and it is kept, whatever the index said of it before. Claimed first: it must
   * not go while we look.
   */
  async prove(digest: Digest): Promise<BlobEntry> {
    this.#options.store.claim(digest);
    return await this.held(digest, 'sample');
  }

  /** As `held`, for a reader: UNAVAILABLE while what is lacking comes, for then it is here in a moment. */
  async readable(digest: Digest): Promise<BlobEntry> {
    const { node } = this.#options;
    try {
      return await this.held(digest);
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'BLOB_UNKNOWN' || !node.receives(digest)) throw error;
      throw new ApiError('UNAVAILABLE', `blob ${digest} is being fetched to this origin: try again`);
    }
  }

  content(entry: BlobEntry, signal: AbortSignal): Content {
    return {
      digest: entry.digest,
      mediaType: MEDIA.octets,
      size: entry.meta.length,
      ranges: true,
      open: (start, end) => this.#read(entry, { start, end }, signal),
    };
  }

  #read(entry: BlobEntry, range: ByteRange, signal: AbortSignal): AsyncGenerator<Chunk> {
    const { node, arena } = this.#options;
    const source = {
      entry,
      pull: () => node.pull(entry.digest),
      lost: (piece: number) => node.lost(entry.digest, piece),
    };
    return readRange(source, arena, range, signal);
  }

  async info(entry: BlobEntry): Promise<BlobInfo> {
    const { digest, meta } = entry;
    const about = { digest, meta, peer: this.#options.node.self };
    return meta.length > inlineBytesMax ? about : { ...about, inline: await this.#inline(entry) };
  }

  /** One piece. Who asks what is here does not wait for what is not. */
  async #inline(entry: BlobEntry): Promise<string> {
    const { arena, mending } = this.#options;
    if (entry.pieces === 0) return '';
    const slot = await arena.acquire('reader', entry.meta.length);
    try {
      const verdict = await entry.read(0, slot);
      if (verdict === 'ok') return Buffer.concat(slot.parts()).toString('base64');
      if (verdict === 'failed' && entry.complete && entry.failure !== undefined) throw entry.failure;
    } finally {
      slot.release();
    }
    if (!entry.gone) mending.want(entry.digest, entry.meta);
    throw new ApiError('BLOB_UNKNOWN', `blob ${entry.digest} is not whole on this origin`);
  }

  /** An upload brought the blob. It may have been damaged here, and be pulled since: peers may have it again. */
  committed(entry: BlobEntry): void {
    this.#options.store.claim(entry.digest);
    this.#options.mending.forget(entry.digest);
    this.#options.node.arrived(entry);
  }

  async remove(digest: Digest): Promise<void> {
    const { node, store, mending } = this.#options;
    mending.forget(digest);
    if (store.get(digest) === undefined) throw new ApiError('BLOB_UNKNOWN', `blob ${digest} is not on this origin`);
    node.drop(digest);
    await store.remove(digest);
  }

  /** Takes the blob over from another origin, in the background. TOOMANYREQUESTS at the limit. */
  async fetch(digest: Digest, request: FetchRequest): Promise<'held' | 'fetching'> {
    if ((await this.#options.store.whole(digest, 'sample')) !== undefined) return 'held';
    if (this.#fetching.has(digest)) return 'fetching';
    if (this.#fetching.size >= fetchesMax) {
      throw new ApiError('TOOMANYREQUESTS', `${fetchesMax} blobs are being taken over: try again later`);
    }
    const { log } = this.#options;
    const taken = this.#take(digest, request)
      .then(
        () => log.info({ digest, from: request.from.node }, 'blob taken over'),
        (error: Error) => log.warn({ digest, from: request.from.node, why: error.message }, 'blob not taken over'),
      )
      .finally(() => this.#fetching.delete(digest));
    this.#fetching.set(digest, taken);
    return 'fetching';
  }

  async #take(digest: Digest, { from, meta }: FetchRequest): Promise<void> {
    const pull = this.#options.node.pull(digest, { peers: [from], meta });
    await pull.learned();
    await pull.complete;
  }
}
