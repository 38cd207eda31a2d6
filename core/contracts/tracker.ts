/**
 * The tracker's HTTP interface: paths, bodies, limits. Both sides of the call import this file.
 *
 * A lease is one (digest, node). All leases of a node live as long as the node announces anything,
 * an empty batch included: a host with thousands of cached blobs renews them with one small request.
 * `held` and `resync` keep the two sides equal when a tracker restarts or a lease ran out.
 */

import type { Digest } from '../digest.ts';
import type { Metainfo } from '../piece.ts';
import type { PeerAddress } from '../wire/messages.ts';

export const TRACKER_PATHS = {
  /** POST AnnounceRequest, answers AnnounceReply. */
  announce: '/v1/announce',
  /** POST LeaveRequest, 204: explicit leave; every lease of the node ends. */
  leave: '/v1/leave',
  /** GET: Located, or 404 with the error BLOB_UNKNOWN. Joins nothing; HEAD requests use it. */
  locate: (digest: Digest): string => `/v1/blobs/${digest}`,
} as const;

/** Bytes of an announce's body: announceEntriesMax entries with metainfo and sha512 digests, with room. */
export const announceBytesMax = 1024 * 1024;
/** Swarms a batch; a host with more sends several. */
export const announceEntriesMax = 2048;
/** Blobs up to this size come with the tracker's answer. */
export const inlineBytesMax = 16 * 1024;
export const handoutPeersMax = 32;
/** Origins that a tracker tells its hosts of: tens at most, for each question may go to all of them. */
export const originsToldMax = 64;
/** Characters of an origin's URL: a name of DNS has 255 at most, and a port, and perhaps a path follow. */
const originUrlCharsMax = 512;
const originUrlPattern = /^https?:\/\/[A-Za-z0-9._:[\]-]+(?:\/[A-Za-z0-9._~%/-]*)?$/;

export type AnnounceEntry = {
  readonly digest: Digest;
  /** want: pulling; have: holds it whole; gone: takes no further part. */
  readonly state: 'want' | 'have' | 'gone';
  /** Neighbours that the announcer asks for now; 0 renews the lease only. */
  readonly seek: number;
  /** What the announcer knows, so that a tracker that was restarted learns it again. Believed from origins only. */
  readonly meta?: Metainfo | undefined;
};
export type AnnounceRequest = {
  readonly self: PeerAddress;
  readonly entries: readonly AnnounceEntry[];
  /** Leases that the announcer believes to have here once this request is applied. Absent: do not compare. */
  readonly held?: number | undefined;
  /** Forget this node's leases before the entries are applied: the first batch of a full announce. */
  readonly reset?: boolean | undefined;
};
export type LeaveRequest = { readonly node: string };

export type AnnounceAnswer = {
  readonly digest: Digest;
  readonly peers: readonly PeerAddress[];
  readonly meta?: Metainfo | undefined;
  /** Base64 of the whole blob, at most inlineBytesMax. */
  readonly inline?: string | undefined;
  /**
   * 'unknown': every origin says that it cannot serve the blob whole, and no other node announced that it holds it (final
   * for who has nothing of it; who has a part may still find the rest at `peers`, which have parts). 'unavailable': not
   * all origins could be asked in time (retry).
   */
  readonly error?: 'unknown' | 'unavailable' | undefined;
};
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
  /** The tracker's leases of this node are not `held` in number: announce everything again, from a `reset` on. */
  readonly resync?: boolean | undefined;
};
/** `inline` as above. */
export type Located = { readonly digest: Digest; readonly meta: Metainfo; readonly inline?: string | undefined };

/** Whether hosts can be told of these origins, and may believe it. */
export function originsTellable(urls: readonly unknown[]): urls is readonly string[] {
  const right = (url: unknown): boolean =>
    typeof url === 'string' && url.length <= originUrlCharsMax && originUrlPattern.test(url) && URL.canParse(url);
  return urls.length > 0 && urls.length <= originsToldMax && urls.every(right) && new Set(urls).size === urls.length;
}
