/**
 * What an operator asks of this origin (core/contracts/origin-admin.ts): what is here, whether it is right, what may go.
 *
 * Rule 1: nothing goes that the store would not let go of by itself when it needs room.
 * Rule 2: a page costs one look at each blob and no copy of all: an origin has hundreds of thousands.
 */

import type { FastifyInstance } from 'fastify';
import { ApiError } from '../core/contracts/errors.ts';
import {
  type BlobStatus,
  type EvictReply,
  type EvictRequest,
  type HeldBlob,
  type HeldPage,
  type HeldState,
  ORIGIN_ADMIN,
  unwrittenMax,
  type Verification,
} from '../core/contracts/origin-admin.ts';
import type { Digest } from '../core/digest.ts';
import { callOf } from '../platform/http/call.ts';
import { serve } from '../platform/http/serve.ts';
import type { Queue } from '../platform/queue/queue.ts';
import { type StoredBlob, storedBlob } from '../platform/store/room/stored-blob.ts';
import type { BlobEntry, BlobStore } from '../platform/store/store.ts';
import type { Logger } from '../platform/telemetry/log.ts';
import type { Mending } from './mending.ts';

/** Blobs that are read back at a time: each takes a disk's and a core's whole attention. */
export const verificationsMax = 2;

export type AdminOptions = {
  readonly store: Pick<BlobStore, 'blobs' | 'get' | 'problemOf' | 'room' | 'usedBytes'>;
  readonly budgetBytes: number;
  /** URLs of the digest's owners, the first one first. */
  readonly ownersOf: (digest: Digest) => readonly string[];
  readonly mending: Pick<Mending, 'replace'>;
  /** Absent: no repository has a backend. */
  readonly queue?: Pick<Queue, 'list'> | undefined;
  readonly log: Logger;
};

export class OriginAdmin {
  readonly #options: AdminOptions;
  #verifying = 0;

  constructor(options: AdminOptions) {
    this.#options = options;
  }

  /** The `max` first blobs after `last`, by digest. */
  list(max: number, last: Digest | undefined): HeldPage {
    const first: StoredBlob[] = [];
    for (const blob of this.#options.store.blobs()) {
      if (last !== undefined && blob.digest <= last) continue;
      const highest = first[max];
      if (highest !== undefined && blob.digest >= highest.digest) continue;
      first.splice(placeOf(first, blob.digest), 0, blob);
      // One more than the page tells whether another one follows.
      if (first.length > max + 1) first.pop();
    }
    return { blobs: first.slice(0, max).map(held), more: first.length > max };
  }

  async status(digest: Digest): Promise<BlobStatus> {
    const entry = this.#found(digest);
    const owed = await this.#options.queue?.list({ about: digest }, { max: unwrittenMax });
    return {
      ...held(storedBlob(entry)),
      pieceLength: entry.meta.pieceLength,
      pieces: entry.pieces,
      held: entry.heldCount,
      inUse: entry.pinned,
      owners: this.#options.ownersOf(digest),
      unwritten: (owed?.rows ?? []).map(({ lane, cause, message, dead }) => ({ backend: lane, cause, message, dead })),
    };
  }

  /** Reads the blob back. TOOMANYREQUESTS where others are being read. */
  async verify(digest: Digest, signal: AbortSignal): Promise<Verification> {
    const entry = this.#found(digest);
    if (this.#verifying >= verificationsMax) {
      throw new ApiError('TOOMANYREQUESTS', `${verificationsMax} blobs are being verified already: try again later`);
    }
    this.#verifying++;
    const unpin = entry.pin();
    try {
      return await this.#judge(entry, await this.#options.store.problemOf(entry, signal));
    } finally {
      unpin();
      this.#verifying--;
    }
  }

  async #judge(entry: BlobEntry, problem: ApiError | undefined): Promise<Verification> {
    const { store, mending, log } = this.#options;
    const { digest } = entry;
    if (problem === undefined) return { result: 'right' };
    const why = problem.message;
    // The store has told whoever mends.
    if (!entry.complete && !entry.gone) return { result: 'decayed', why };
    if (problem.code !== 'DIGEST_INVALID' || store.get(digest) !== entry) return { result: 'unread', why };
    log.error({ digest, why }, 'a blob is not what its digest says: it is removed, and sought elsewhere');
    await mending.replace(digest);
    return { result: 'wrong', why };
  }

  async evict(asked: EvictRequest): Promise<EvictReply> {
    const { store, budgetBytes } = this.#options;
    const { digests, toBytes, toPercent } = asked;
    if ([digests, toBytes, toPercent].filter((one) => one !== undefined).length !== 1) {
      throw new ApiError('REQUEST_INVALID', 'name one of digests, toBytes and toPercent');
    }
    if (digests !== undefined) {
      const why = await store.room.letGo(digests);
      const evicted = digests.filter((digest) => store.get(digest) === undefined);
      const done = evicted.length === digests.length;
      return { evicted, usedBytes: store.usedBytes, budgetBytes, done, why: done ? undefined : why };
    }
    const target = toBytes ?? Math.floor((budgetBytes * (toPercent as number)) / 100);
    const why = await store.room.shrink(target);
    const done = store.usedBytes <= target;
    return { evicted: [], usedBytes: store.usedBytes, budgetBytes, done, why: done ? undefined : why };
  }

  #found(digest: Digest): BlobEntry {
    const entry = this.#options.store.get(digest);
    if (entry !== undefined) return entry;
    throw new ApiError('BLOB_UNKNOWN', `nothing of blob ${digest} is on this origin`);
  }
}

export function addOriginAdminRoutes(app: FastifyInstance, admin: OriginAdmin): void {
  serve(app, ORIGIN_ADMIN.list, ({ at }) => admin.list(at.n, at.last));
  serve(app, ORIGIN_ADMIN.status, ({ at }) => admin.status(at.digest));
  serve(app, ORIGIN_ADMIN.verify, ({ at, request }) => admin.verify(at.digest, callOf(request).signal));
  serve(app, ORIGIN_ADMIN.evict, ({ body }) => admin.evict(body));
}

function held({ digest, meta, complete, damaged }: StoredBlob): HeldBlob {
  const state: HeldState = complete ? 'whole' : damaged ? 'damaged' : 'partial';
  return { digest, size: meta.length, state };
}

/** Where `digest` belongs in a list that is ordered by digest. */
function placeOf(list: readonly StoredBlob[], digest: Digest): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle] as StoredBlob).digest < digest) low = middle + 1;
    else high = middle;
  }
  return low;
}
