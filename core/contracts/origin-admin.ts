/** What an operator asks of one origin over its API port: what is here, whether it is right, what may go (`shoal origin`). */

import type { Digest } from '../digest.ts';
import { byteCount, digest, inDigest } from './fields.ts';
import { closed, digits, flag, listOf, oneOf, optional, type Parser, record, text, whole } from './parse.ts';
import { route } from './route.ts';

/** whole: all of it, synced; partial: being fetched for the first time; damaged: it was whole, and is being mended. */
export type HeldState = 'whole' | 'partial' | 'damaged';
export type HeldBlob = {
  readonly digest: Digest;
  /** Bytes of the blob. */
  readonly size: number;
  readonly state: HeldState;
};
/** By digest. `more`: the next page begins after the last one. */
export type HeldPage = { readonly blobs: readonly HeldBlob[]; readonly more: boolean };
export const heldPageMax = 1000;

export type BlobStatus = HeldBlob & {
  readonly pieceLength: number;
  readonly pieces: number;
  /** Pieces that are here. */
  readonly held: number;
  /** Somebody reads or receives it now: it cannot go. */
  readonly inUse: boolean;
  /** Base URLs of the digest's owners, the first one first. */
  readonly owners: readonly string[];
  /** Backends that have yet to confirm it, the last failure with each. */
  readonly unwritten: readonly Unwritten[];
};
export type Unwritten = {
  readonly backend: string;
  /** Empty: none failed yet. */
  readonly cause: string;
  readonly message: string;
  /** It is not tried again by itself. */
  readonly dead: boolean;
};
const ownersMax = 64;
export const unwrittenMax = 64;

/**
 * The bytes on the disk, compared with the digest. right; decayed: some pieces were wrong, and are being fetched again;
 * wrong: they never were this digest's (the blob is removed, and sought elsewhere); unread: the disk does not say.
 */
export type Verification = {
  readonly result: 'right' | 'decayed' | 'wrong' | 'unread';
  readonly why?: string | undefined;
};

/**
 * Lets blobs go that can be had again or that nobody needs: `digests`, or the least recently used ones until at most
 * `toBytes` or `toPercent` of the budget are used; a part of that at a time, so that the answer comes soon.
 */
export type EvictRequest = {
  readonly digests?: readonly Digest[] | undefined;
  readonly toBytes?: number | undefined;
  readonly toPercent?: number | undefined;
};
export const evictDigestsMax = 500;
export type EvictReply = {
  /** Of `digests`, those that are not here any more. */
  readonly evicted: readonly Digest[];
  readonly usedBytes: number;
  readonly budgetBytes: number;
  /** What was asked for is reached. */
  readonly done: boolean;
  /** Why no more went. Absent: ask again, and more will go. */
  readonly why?: string | undefined;
};

const whyMax = 4096;
const pieceCountMax = whole(Number.MAX_SAFE_INTEGER);
const held = { digest, size: byteCount, state: oneOf('whole', 'partial', 'damaged') };
const pageEntries: Parser<number> = (value) =>
  Math.min(value === undefined ? heldPageMax : digits(999_999_999)(value), heldPageMax);
const ofBlob = { params: { digest: inDigest } };

export const ORIGIN_ADMIN = {
  list: route('GET', '/v1/blobs', {
    query: { n: pageEntries, last: optional(digest) },
    reply: record({ blobs: listOf(record(held), heldPageMax), more: flag }) satisfies Parser<HeldPage>,
  }),
  /** 404 where nothing of it is here. */
  status: route('GET', '/v1/blobs/:digest/status', {
    ...ofBlob,
    reply: record({
      ...held,
      pieceLength: byteCount,
      pieces: pieceCountMax,
      held: pieceCountMax,
      inUse: flag,
      owners: listOf(text(whyMax), ownersMax),
      unwritten: listOf(
        record({ backend: text(whyMax), cause: text(whyMax), message: text(whyMax), dead: flag }),
        unwrittenMax,
      ),
    }) satisfies Parser<BlobStatus>,
  }),
  /** Reads all of it. 404 where nothing of it is here. */
  verify: route('POST', '/v1/blobs/:digest/verification', {
    ...ofBlob,
    reply: record({
      result: oneOf('right', 'decayed', 'wrong', 'unread'),
      why: optional(text(whyMax)),
    }) satisfies Parser<Verification>,
  }),
  evict: route('POST', '/v1/evictions', {
    body: closed({
      digests: optional(listOf(digest, evictDigestsMax)),
      toBytes: optional(byteCount),
      toPercent: optional(whole(100)),
    }) satisfies Parser<EvictRequest>,
    reply: record({
      evicted: listOf(digest, evictDigestsMax),
      usedBytes: byteCount,
      budgetBytes: byteCount,
      done: flag,
      why: optional(text(whyMax)),
    }) satisfies Parser<EvictReply>,
  }),
} as const;
