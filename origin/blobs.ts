/**
 * What this origin holds: reading it, describing it, taking it over from another origin, removing it.
 *
 * Rule 1: a blob counts as held when the store says complete, which for an origin's store means
 *         durable and checked against its digest, also where it was taken over from another origin.
 * Rule 2: an origin holds no swarm state for a blob that nobody asks for: the peer takes the entry
 *         from `forPeer` on the first Open.
 */

import { ApiError } from '../core/contracts/errors.ts';
import type { BlobInfo, FetchRequest } from '../core/contracts/origin.ts';
import { inlineBytesMax } from '../core/contracts/tracker.ts';
import type { Digest } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import type { ByteRange } from '../core/oci/range.ts';
import type { PeerNode } from '../platform/peer/node.ts';
import { type Chunk, readRange } from '../platform/reader/read.ts';
import type { Content } from '../platform/registry/reply.ts';
import type { BlobEntry, BlobStore } from '../platform/store/store.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import type { Workers } from '../platform/workers/workers.ts';

/** Blobs taken over at a time; the origin that offers more asks again later. */
export const fetchesMax = 16;

/** For reads that nobody leaves. */
const never = new AbortController().signal;

export type BlobsOptions = {
  readonly store: BlobStore;
  readonly workers: Workers;
  readonly node: PeerNode;
  readonly log: Logger;
};

export class Blobs {
  readonly #options: BlobsOptions;
  /** Being taken over. */
  readonly #fetching = new Map<Digest, Promise<void>>();

  constructor(options: BlobsOptions) {
    this.#options = options;
  }

  /** The blob's entry. BLOB_UNKNOWN where it is not here; UNAVAILABLE while it is being fetched or mended. */
  held(digest: Digest): BlobEntry {
    const entry = this.#options.store.get(digest);
    if (entry?.complete === true) return entry;
    if (entry === undefined) throw new ApiError('BLOB_UNKNOWN', `blob ${digest} is not on this origin`);
    throw new ApiError('UNAVAILABLE', `blob ${digest} is not whole on this origin: it is being fetched, try again`);
  }

  /** As `held`; and it is kept, whatever the index said of it before. Claimed first: it must not go while we look. */
  prove(digest: Digest): BlobEntry {
    this.#options.store.claim(digest);
    return this.held(digest);
  }

  find(digest: Digest): BlobEntry | undefined {
    const entry = this.#options.store.get(digest);
    return entry?.complete === true ? entry : undefined;
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

  #read(entry: BlobEntry, range: ByteRange, signal: AbortSignal = never): AsyncGenerator<Chunk> {
    const { node, workers } = this.#options;
    const source = {
      entry,
      pull: () => node.pull(entry.digest),
      lost: (piece: number) => node.lost(entry.digest, piece),
    };
    return readRange(source, workers.arena, range, signal);
  }

  async info(entry: BlobEntry): Promise<BlobInfo> {
    const { digest, meta } = entry;
    const about = { digest, meta, peer: this.#options.node.self };
    return meta.length > inlineBytesMax ? about : { ...about, inline: await this.#inline(entry) };
  }

  async #inline(entry: BlobEntry): Promise<string> {
    const parts: Buffer[] = [];
    const range = { start: 0, end: entry.meta.length };
    for await (const chunk of this.#read(entry, range)) {
      for (const part of chunk.bytes) parts.push(Buffer.from(part));
      chunk.release();
    }
    return Buffer.concat(parts).toString('base64');
  }

  /** An upload brought the blob. It may have been damaged here, and be pulled since: peers may have it again. */
  committed(entry: BlobEntry): void {
    this.#options.store.claim(entry.digest);
    this.#options.node.arrived(entry);
  }

  async remove(digest: Digest): Promise<void> {
    const { node, store } = this.#options;
    if (store.get(digest) === undefined) throw new ApiError('BLOB_UNKNOWN', `blob ${digest} is not on this origin`);
    node.drop(digest);
    await store.remove(digest);
  }

  /** Takes the blob over from another origin, in the background. TOOMANYREQUESTS at the limit. */
  fetch(digest: Digest, request: FetchRequest): 'held' | 'fetching' {
    if (this.find(digest) !== undefined) return 'held';
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
