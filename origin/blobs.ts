/**
 * What this origin holds: reading it, describing it, taking it over from another origin, removing it.
 *
 * Rule 1: a blob counts as held when the store says complete, which for an origin's store means
 *         synced and checked against its digest, also where it was taken over from another origin.
 * Rule 2: what the store believes is looked at before it is told (store/pieces/believed.ts). What turns out to be missing or
 *         damaged is answered as if it were not here, so that others are asked and clients push it, and is fetched again.
 * Rule 3: what is not here whole is asked of the repository's backend (cold/), where it has one, but for who asks with a proof:
 *         that asks what this origin holds itself.
 * Rule 4: what is blocked (platform/blocks) is neither described nor given, not even the rest of what somebody reads.
 * Rule 5: an origin holds no swarm state for a blob that nobody asks for: the peer takes the entry
 *         from `forPeer` on the first Open.
 */

import { Bug } from '../core/assert.ts';
import { ApiError } from '../core/contracts/errors.ts';
import { inlineBytesMax } from '../core/contracts/fields.ts';
import type { BlobInfo, FetchRequest, GrowingInfo, InfoProof } from '../core/contracts/origin.ts';
import type { BlobIn, Digest } from '../core/digest.ts';
import { MEDIA } from '../core/oci/media.ts';
import type { ByteRange } from '../core/oci/range.ts';
import type { Metainfo } from '../core/piece.ts';
import type { PeerAddress } from '../core/wire/messages.ts';
import type { Blocked } from '../platform/blocks/blocks.ts';
import { heedBlocked, untilBlocked } from '../platform/blocks/giving.ts';
import type { CallContext } from '../platform/clients/context.ts';
import type { Content } from '../platform/http/content.ts';
import type { PeerNode } from '../platform/peer/node.ts';
import { type Chunk, type ReadablePull, type ReaderArena, readRange } from '../platform/reader/read.ts';
import type { Proof } from '../platform/store/pieces/believed.ts';
import type { BlobEntry, BlobStore } from '../platform/store/store.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import type { ColdReads } from './cold/cold.ts';
import type { Mending } from './mending.ts';

/** Blobs taken over at a time; the origin that offers more asks again later. */
export const fetchesMax = 16;

type TakenFrom = { readonly from: PeerAddress; readonly meta?: Metainfo; readonly repo?: string | undefined };

export type BlobsOptions = {
  readonly store: BlobStore;
  readonly arena: ReaderArena;
  readonly node: Pick<PeerNode, 'self' | 'pull' | 'receives' | 'lost' | 'arrived' | 'drop'>;
  readonly mending: Mending;
  readonly log: Logger;
  /** This origin is being emptied: it takes nothing over, and counts as nobody's copy. */
  readonly leaving?: (() => boolean) | undefined;
  /** What is given to nobody; default: nothing. */
  readonly blocked?: Blocked | undefined;
  /** Ranges of blobs that still come from a backend; default: given at once, and not counted. */
  readonly early?: { readonly strict: boolean; readonly unproved: () => void } | undefined;
};

/** What a question about a blob says beside it: core/contracts/origin.ts. */
export type InfoAsked = {
  readonly proof?: InfoProof | undefined;
  readonly growing?: 1 | undefined;
  readonly cold?: 'stat' | undefined;
  readonly hops?: number | undefined;
};
/** Blobs that only a backend has. Each answers undefined where the repository has none. */
export type OnlyInBackends = Pick<ColdReads, 'info' | 'fetch'> & {
  /** Where a reader gets the blob's bytes from the backend itself; undefined: from us. */
  redirect(blob: BlobIn, size: number, signal: AbortSignal): Promise<string | undefined>;
  /** Whether it is being fetched here now. */
  fetches(digest: Digest): boolean;
  /** Somebody counts on the copy here. */
  relied(digest: Digest): void;
  /** What backends said of the blob holds no more: it was pushed. */
  pushed(digest: Digest): void;
};

export class OriginBlobs {
  readonly #options: BlobsOptions;
  /** Being taken over. */
  readonly #fetching = new Map<Digest, Promise<void>>();
  #elsewhere: OnlyInBackends | undefined;

  constructor(options: BlobsOptions) {
    this.#options = options;
  }

  /** From now on what is not here is looked for there. */
  lookElsewhere(elsewhere: OnlyInBackends): void {
    this.#elsewhere = elsewhere;
  }

  /** Throws DENIED of what is blocked. */
  heed(digest: Digest): void {
    heedBlocked(this.#options.blocked, digest);
  }

  /** As `ORIGIN.info`. */
  async answer(blob: BlobIn, { proof, growing, cold, hops = 0 }: InfoAsked): Promise<BlobInfo | GrowingInfo> {
    this.heed(blob.digest);
    // It will not be pushed because of the answer.
    if (proof !== undefined) this.#elsewhere?.relied(blob.digest);
    try {
      return await this.info(await this.held(blob.digest, proof));
    } catch (error) {
      if (proof !== undefined || !unknown(error)) throw error;
      const told = await this.#elsewhere?.info({ blob, hops, cold }, growing === 1);
      if (told === undefined) throw error;
      return told;
    }
  }

  /** For a HEAD, which fetches nothing. */
  async sized(blob: BlobIn): Promise<Content> {
    this.heed(blob.digest);
    const open = (): never => {
      throw new Bug('a HEAD has no body');
    };
    try {
      return contentOf(blob.digest, (await this.held(blob.digest)).meta.length, open);
    } catch (error) {
      if (!unknown(error)) throw error;
      const told = await this.#elsewhere?.info({ blob, hops: 0, cold: 'stat' }, true);
      if (told === undefined) throw error;
      return contentOf(blob.digest, ('growth' in told ? told.growth : told.meta).length, open);
    }
  }

  /** Where else whoever knows that the blob has `size` bytes, and takes a redirect, gets them. */
  async redirect(blob: BlobIn, size: number, { signal }: CallContext): Promise<string | undefined> {
    this.heed(blob.digest);
    return await this.#elsewhere?.redirect(blob, size, signal);
  }

  /** The blob's bytes, which may still come. */
  async read(blob: BlobIn, call: CallContext): Promise<Content> {
    const { signal } = call;
    this.heed(blob.digest);
    try {
      return this.content(await this.readable(blob.digest), signal);
    } catch (error) {
      if (!unknown(error)) throw error;
      const found = await this.#elsewhere?.fetch(blob, call);
      if (found === undefined) throw error;
      return this.content(found.entry, signal, found.coming);
    }
  }

  /** The blob's entry. BLOB_UNKNOWN where it is not here whole, UNAVAILABLE where the disk does not say. */
  async held(digest: Digest, proof: Proof = 'size'): Promise<BlobEntry> {
    if (proof === 'sample') this.#stays(digest);
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
    this.#elsewhere?.relied(digest);
    return await this.held(digest, 'sample');
  }

  /** As `held`, for a reader: UNAVAILABLE while what is lacking comes from peers, for then it is here in a moment. */
  async readable(digest: Digest): Promise<BlobEntry> {
    const { node } = this.#options;
    try {
      return await this.held(digest);
    } catch (error) {
      if (!unknown(error)) throw error;
      this.#options.mending.hurry(digest);
      if (!node.receives(digest) || this.#elsewhere?.fetches(digest) === true) throw error;
      throw new ApiError('UNAVAILABLE', `blob ${digest} is being fetched to this origin: try again`);
    }
  }

  /** `coming`: what it lacks comes by that. */
  content(entry: BlobEntry, signal: AbortSignal, coming?: ReadablePull): Content {
    return contentOf(entry.digest, entry.meta.length, (start, end) =>
      this.#read({ entry, coming }, { start, end }, signal),
    );
  }

  #read(
    { entry, coming }: { readonly entry: BlobEntry; readonly coming: ReadablePull | undefined },
    range: ByteRange,
    signal: AbortSignal,
  ): AsyncGenerator<Chunk> {
    const { node, arena, early, blocked } = this.#options;
    const source = {
      entry,
      strict: early?.strict === true,
      unproved: () => early?.unproved(),
      pull: () => coming ?? node.pull(entry.digest),
      lost: (piece: number) => coming === undefined && node.lost(entry.digest, piece),
    };
    const bytes = readRange(source, arena, range, signal);
    return blocked === undefined ? bytes : untilBlocked(blocked, entry.digest, bytes);
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
    const lent = entry.lend(0, 'reader');
    if (lent !== undefined) {
      const inline = Buffer.concat(lent.parts()).toString('base64');
      lent.release();
      return inline;
    }
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
    this.came(entry);
    this.#elsewhere?.relied(entry.digest);
    this.#elsewhere?.pushed(entry.digest);
  }

  /** It came whole by another way than from peers. */
  came(entry: BlobEntry): void {
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

  /**
   * Takes the blob over from another origin, in the background. TOOMANYREQUESTS at the limit. `held` is called once it is
   * here, and before it is said to be.
   */
  async fetch(
    digest: Digest,
    request: FetchRequest,
    held?: (entry: BlobEntry) => Promise<void>,
  ): Promise<'held' | 'fetching'> {
    this.#stays(digest);
    this.#elsewhere?.relied(digest);
    const entry = await this.#options.store.whole(digest, 'sample');
    if (entry !== undefined) {
      await held?.(entry);
      return 'held';
    }
    if (this.#fetching.has(digest)) return 'fetching';
    if (this.#fetching.size >= fetchesMax) {
      throw new ApiError('TOOMANYREQUESTS', `${fetchesMax} blobs are being taken over: try again later`);
    }
    this.#take(digest, request, held);
    return 'fetching';
  }

  /** Pieces that are here, whether the blob is whole or not. */
  piecesOf(digest: Digest): number {
    return this.#options.store.get(digest)?.heldCount ?? 0;
  }

  /**
   * Another origin receives it from a backend, and this one is to have it as well: it takes part from the start, and has what
   * came so far should that one end.
   */
  join({ digest, repo }: BlobIn, from: PeerAddress): void {
    if (this.#fetching.has(digest) || this.#fetching.size >= fetchesMax) return;
    if (this.#options.store.get(digest) === undefined) this.#take(digest, { from, repo });
  }

  /** Who relies on what is here, or brings it, is told so of an origin that is about to go. */
  #stays(digest: Digest): void {
    if (this.#options.leaving?.() === true)
      throw new ApiError('BLOB_UNKNOWN', `this origin is being drained: no copy of ${digest} counts here`);
  }

  #take(digest: Digest, { from, meta, repo }: TakenFrom, held?: (entry: BlobEntry) => Promise<void>): void {
    const { log, node, store } = this.#options;
    const take = async (): Promise<void> => {
      const pull = node.pull(digest, { peers: [from], meta, repo });
      await pull.learned();
      await pull.complete;
      const entry = held && store.get(digest);
      if (entry?.complete === true) await held?.(entry);
    };
    const taken = take()
      .then(
        () => log.info({ digest, from: from.node }, 'blob taken over'),
        (error: Error) => log.warn({ digest, from: from.node, why: error.message }, 'blob not taken over'),
      )
      .finally(() => this.#fetching.delete(digest));
    this.#fetching.set(digest, taken);
  }
}

function contentOf(digest: Digest, size: number, open: Content['open']): Content {
  return { digest, mediaType: MEDIA.octets, size, ranges: true, open };
}

function unknown(error: unknown): boolean {
  return error instanceof ApiError && error.code === 'BLOB_UNKNOWN';
}
