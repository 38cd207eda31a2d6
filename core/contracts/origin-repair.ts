/**
 * What origins ask each other to find what one of them should hold and lacks (origin/repair), and what an operator asks of
 * that. An origin of the release before knows none of these paths, and is left to what it does itself.
 *
 * A place is what an origin is called on the ring: its id.
 */

import type { Digest } from '../digest.ts';
import type { Metainfo } from '../piece.ts';
import { maskBytes, sumsBytes } from '../repair/sums.ts';
import type { PeerAddress } from '../wire/messages.ts';
import { byteCount, digest, metainfo, peer, repository } from './fields.ts';
import { owedMax } from './origin.ts';
import { closed, flag, listOf, oneOf, optional, type Parser, record, text, textThat, whole } from './parse.ts';
import { route } from './route.ts';

/** A blob that is whole at whoever names it; `owed`: as in FetchRequest. */
export type NamedBlob = {
  readonly digest: Digest;
  readonly meta: Metainfo;
  readonly owed?: readonly string[] | undefined;
  /** Origins that own it, as whoever names it knows: the one that lacks it may never have asked. */
  readonly owners?: number | undefined;
};
/** In one answer: about 250 bytes each. */
export const namedMax = 2_000;
export type SharedPage = {
  readonly blobs: readonly NamedBlob[];
  /** More follow after the last one. */
  readonly more: boolean;
};
/** In one offer; each costs its reader a look at a file. */
export const offeredMax = 250;

/** What an origin is doing about blobs below their replicas. */
export type RepairState = {
  /** compares: lists, with the others. fetches: what it lacks. waits: something stands in its way (`why`). idle: nothing is known to be lacking. */
  readonly phase: 'compares' | 'fetches' | 'waits' | 'idle';
  readonly why?: string | undefined;
  /** Blobs that this origin should hold and is known to lack, and their bytes. */
  readonly lacking: { readonly blobs: number; readonly bytes: number };
  /** Blobs that this origin holds and that another owner is known to lack. */
  readonly below: number;
  /** Blobs that this origin holds and another one owns as well that does not answer. */
  readonly unheard: number;
  /** Blobs that this origin holds and does not own; `unsafe`: some owner of them does not hold them yet. */
  readonly spare: { readonly blobs: number; readonly unsafe: number };
  /** Since the process began. */
  readonly fetched: { readonly blobs: number; readonly bytes: number };
  readonly failed: number;
  /** Bytes a second, lately; and what it may take. */
  readonly rate: number;
  readonly rateMax: number;
  /** Milliseconds until nothing is lacking, at that rate; absent: not known, or nothing is. */
  readonly leftMs?: number | undefined;
  /** When it compared lists with all others last, milliseconds ago. Absent: not since the process began. */
  readonly comparedMsAgo?: number | undefined;
  readonly others: readonly RepairPeer[];
};
export type RepairPeer = {
  readonly place: string;
  readonly url: string;
  /** equal: holds what both own. differs: one of the two lacks some. silent, older: could not be asked, or knows no such question. unknown: not asked yet. */
  readonly state: 'equal' | 'differs' | 'silent' | 'older' | 'unknown';
};

const placeMax = 512;
const whyMax = 4096;
const othersMax = 1_000;
const place = text(placeMax, 1);
const base64Of = (bytes: number): Parser<string> =>
  textThat(({ length }) => length === Math.ceil(bytes / 3) * 4, `is not ${bytes} bytes in base64`);
const owed = optional(listOf((value) => (value === '' ? value : repository(value)), owedMax));
const ownersMax = 64;
const owners = optional(whole(ownersMax));
const named: Parser<NamedBlob> = record({ digest, meta: metainfo, owed, owners });
const counted = record({ blobs: byteCount, bytes: byteCount });

export const REPAIR = {
  /** Of the blobs that both of us own: the sums of those that are whole there (core/repair/sums.ts). */
  sums: route('POST', '/v1/repair/sums', {
    body: closed({ place }),
    reply: record({ peer, sums: base64Of(sumsBytes) }) satisfies Parser<{ peer: PeerAddress; sums: string }>,
  }),
  /** The same by name, of some buckets, in the order of digests. */
  shared: route('POST', '/v1/repair/shared', {
    body: closed({ place, buckets: base64Of(maskBytes), after: optional(digest) }),
    reply: record({ blobs: listOf(named, namedMax), more: flag }) satisfies Parser<SharedPage>,
  }),
  /**
   * What whoever asks holds, and the other one owns: it says what it holds whole, and keeps, and fetches the rest by and by.
   * What it does not own itself it does not name, whether it holds it or not. `sample`: it looks at the bytes before.
   */
  offer: route('POST', '/v1/repair/offers', {
    body: closed({ place, from: peer, blobs: listOf(named, offeredMax), sample: optional(flag) }),
    reply: record({ held: listOf(digest, offeredMax) }),
  }),
  state: route('GET', '/v1/repair', {
    reply: record({
      phase: oneOf('compares', 'fetches', 'waits', 'idle'),
      why: optional(text(whyMax)),
      lacking: counted,
      below: byteCount,
      unheard: byteCount,
      spare: record({ blobs: byteCount, unsafe: byteCount }),
      fetched: counted,
      failed: byteCount,
      rate: byteCount,
      rateMax: byteCount,
      leftMs: optional(byteCount),
      comparedMsAgo: optional(whole(Number.MAX_SAFE_INTEGER)),
      others: listOf(
        record({ place, url: text(whyMax), state: oneOf('equal', 'differs', 'silent', 'older', 'unknown') }),
        othersMax,
      ),
    }) satisfies Parser<RepairState>,
  }),
  /** The same, and whether it is drained, for a browser. */
  page: route('GET', '/v1/repair/page', {}),
  /** Compares with the others now, rather than when it is time. */
  now: route('POST', '/v1/repair/now', {}),
} as const;
