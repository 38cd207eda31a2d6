/**
 * The tracker's HTTP interface: paths, bodies, limits. Both sides of the call import this file.
 *
 * A lease is one (digest, node). All leases of a node live as long as the node announces anything,
 * an empty batch included: a host with thousands of cached blobs renews them with one small request.
 * `held` and `resync` keep the two sides equal when a tracker restarts or a lease ran out.
 */

import type { Digest } from '../digest.ts';
import type { Growth, Metainfo } from '../piece.ts';
import type { PeerAddress } from '../wire/messages.ts';
import {
  askedGrowing,
  askedIn,
  digest,
  growth,
  hashCount,
  inDigest,
  inline,
  metainfo,
  node,
  peer,
  repository,
} from './fields.ts';
import { memberUrlValid, type ToldPlace, toldPlaces } from './members.ts';
import { field, fields, listOf, Malformed, oneOf, optional, type Parser, record, text, whole } from './parse.ts';
import { route } from './route.ts';

/** Bytes of an announce's body: announceEntriesMax entries with metainfo and sha512 digests, with room. */
export const announceBytesMax = 1024 * 1024;
/** Swarms a batch; a host with more sends several. */
export const announceEntriesMax = 2048;
export const handoutPeersMax = 32;
/** Origins that a tracker tells its hosts of: tens at most, for each question may go to all of them. */
export const originsToldMax = 64;

export type AnnounceEntry = {
  readonly digest: Digest;
  /** want: pulling; have: holds it whole; gone: takes no further part. */
  readonly state: 'want' | 'have' | 'gone';
  /** Neighbours that the announcer asks for now; 0 renews the lease only. */
  readonly seek: number;
  /** With a seek: the repository that the blob is asked for in. An older tracker takes no notice. */
  readonly repo?: string | undefined;
  /** What the announcer knows, so that a tracker that was restarted learns it again. Believed from origins only. */
  readonly meta?: Metainfo | undefined;
  /**
   * The announcer takes blobs that grow, and knows so many hashes of this one's list (0 at first). With it a want is
   * answered whenever more is known, seek or not. Absent: it waits until an origin holds the blob whole.
   */
  readonly known?: number | undefined;
};
export type AnnounceRequest = {
  readonly self: PeerAddress;
  readonly entries: readonly AnnounceEntry[];
  /** Leases that the announcer believes to have here once this request is applied. Absent: do not compare. */
  readonly held?: number | undefined;
  /** What this tracker told last of the origins, as it called it. A tracker of a release before tells them each time. */
  readonly toldAs?: string | undefined;
  /** Forget this node's leases before the entries are applied: the first batch of a full announce. */
  readonly reset?: boolean | undefined;
};
export type LeaveRequest = { readonly node: string };

export type AnnounceAnswer = {
  readonly digest: Digest;
  readonly peers: readonly PeerAddress[];
  readonly meta?: Metainfo | undefined;
  /** In place of `meta`, and only where the entry says `known`: an origin still receives the blob. */
  readonly growth?: Growth | undefined;
  /** Base64 of the whole blob, at most inlineBytesMax. */
  readonly inline?: string | undefined;
  /**
   * 'unknown': every origin says that it cannot serve the blob whole, and no other node announced that it holds it (final
   * for who has nothing of it; who has a part may still find the rest at `peers`, which have parts). 'unavailable': not
   * all origins could be asked in time (retry).
   */
  readonly error?: 'unknown' | 'unavailable' | undefined;
  /** With an error, or of one that grows: what the origins said, such as which backend does not give the blob. */
  readonly why?: string | undefined;
};
/** Characters of it: a backend, a key and what was wrong, of each of a few origins. */
export const whyCharsMax = 1_024;
export type AnnounceReply = {
  /** A lease lasts this long unless renewed. */
  readonly leaseMs: number;
  /** Renew no later than this. */
  readonly intervalMs: number;
  /** Only for entries that asked for something. */
  readonly answers: readonly AnnounceAnswer[];
  /**
   * Base URLs of all origins of the cluster, as their own configuration has them: whom a host asks itself where no
   * tracker answers. Absent: not told, which changes nothing.
   */
  readonly origins?: readonly string[] | undefined;
  /**
   * Of these origins, the ids and weights by which blobs are placed, as far as they are known. A host of a release before
   * takes no notice; where a tracker of a release before tells none, hosts ask the origins themselves.
   */
  readonly places?: readonly ToldPlace[] | undefined;
  /** What stands for `origins` and `places`: who says it in its next announce is not told them again unless they change. */
  readonly toldAs?: string | undefined;
  /** The tracker's leases of this node are not `held` in number: announce everything again, from a `reset` on. */
  readonly resync?: boolean | undefined;
  /** With it: not before so long, since all hosts do at once; what is sought now is told at once. An older host takes no notice. */
  readonly resyncAfterMs?: number | undefined;
  /** Not all of the leases are kept: which limit is reached, and what to do. An older host takes no notice. */
  readonly limit?: string | undefined;
};
/** `inline` as above. */
export type Located = { readonly digest: Digest; readonly meta: Metainfo; readonly inline?: string | undefined };
/** In place of Located, and only to who asked so: an origin still receives the blob. */
export type LocatedGrowing = { readonly digest: Digest; readonly growth: Growth };

/** A lease of more than a day is a mistake. */
const timeMsMax = 86_400_000;
/** Never so short that the announcer would spin. */
const intervalMsMin = 100;
const seekMax = 1024;

const state = oneOf('want', 'have', 'gone');
const seek = whole(seekMax);
const toldAs = text(64, 1);
const held = whole(Number.MAX_SAFE_INTEGER);
const time = whole(timeMsMax);

/** By hand: a tracker reads thousands of these a second. */
const entry: Parser<AnnounceEntry> = (value) => {
  const of = fields(value);
  const read = { digest: field(of, 'digest', digest), state: field(of, 'state', state), seek: field(of, 'seek', seek) };
  if (of['meta'] === undefined && of['repo'] === undefined && of['known'] === undefined) return read;
  return {
    ...read,
    meta: field(of, 'meta', optional(metainfo)),
    repo: field(of, 'repo', optional(repository)),
    known: field(of, 'known', optional(hashCount)),
  };
};
const entries = listOf(entry, announceEntriesMax);

const announceRequest: Parser<AnnounceRequest> = (value) => {
  const of = fields(value);
  const read = { self: field(of, 'self', peer), entries: field(of, 'entries', entries) };
  const reset = of['reset'] === true;
  if (of['held'] === undefined && of['toldAs'] === undefined && !reset) return read;
  const asTold = field(of, 'toldAs', optional(toldAs));
  return { ...read, held: field(of, 'held', optional(held)), reset, ...(asTold !== undefined && { toldAs: asTold }) };
};

const answer: Parser<AnnounceAnswer> = record({
  digest,
  peers: listOf(peer, handoutPeersMax),
  meta: optional(metainfo),
  growth: optional(growth),
  inline: optional(inline),
  error: optional(oneOf('unknown', 'unavailable')),
  why: optional(text(whyCharsMax)),
});
const origins: Parser<readonly string[]> = (value) => {
  if (Array.isArray(value) && originsTellable(value)) return value;
  throw new Malformed(`is not a list of 1 to ${originsToldMax} different http(s) URLs`);
};
const resync: Parser<boolean | undefined> = (value) => (value === true ? true : undefined);
const announceReply: Parser<AnnounceReply> = record({
  leaseMs: time,
  intervalMs: (value) => Math.max(intervalMsMin, time(value)),
  answers: listOf(answer, announceEntriesMax),
  origins: optional(origins),
  places: optional(toldPlaces),
  toldAs: optional(toldAs),
  resync,
  resyncAfterMs: optional(time),
  limit: optional(text(whyCharsMax)),
});

const locatedWhole: Parser<Located> = record({ digest, meta: metainfo, inline: optional(inline) });
const locatedGrowing: Parser<LocatedGrowing> = record({ digest, growth });
const located: Parser<Located | LocatedGrowing> = (value) =>
  fields(value)['growth'] === undefined ? locatedWhole(value) : locatedGrowing(value);

export const TRACKER = {
  announce: route('POST', '/v1/announce', { body: announceRequest, reply: announceReply }),
  /** Explicit leave: every lease of the node ends. */
  leave: route('POST', '/v1/leave', { body: record({ node }) satisfies Parser<LeaveRequest> }),
  /**
   * 404 with the error BLOB_UNKNOWN. Joins nothing; HEAD requests use it. A blob that grows is 503 UNAVAILABLE without
   * `growing=1`; an older tracker takes no notice of that.
   */
  locate: route('GET', '/v1/blobs/:digest', {
    params: { digest: inDigest },
    query: { repo: askedIn, growing: askedGrowing },
    reply: located,
  }),
} as const;

/** Whether hosts can be told of these origins, and may believe it. */
export function originsTellable(urls: readonly unknown[]): urls is readonly string[] {
  return (
    urls.length > 0 && urls.length <= originsToldMax && urls.every(memberUrlValid) && new Set(urls).size === urls.length
  );
}
