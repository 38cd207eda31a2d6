/** The tracker's HTTP interface: paths, bodies, limits. Both sides of the call import this file. */

import type { Digest } from '../digest.ts';
import type { Metainfo } from '../piece.ts';
import type { PeerAddress } from '../wire/messages.ts';

export const TRACKER_PATHS = {
  /** POST AnnounceRequest, answers AnnounceReply. */
  announce: '/v1/announce',
  /** POST { node }: explicit leave; every lease of the node ends. */
  leave: '/v1/leave',
  /** GET: Located, or 404 with the error BLOB_UNKNOWN. Joins nothing; HEAD requests use it. */
  locate: (digest: Digest): string => `/v1/blobs/${digest}`,
} as const;

/** Swarms a batch; a host with more sends several. */
export const announceEntriesMax = 2048;
/** Blobs up to this size come with the tracker's answer. */
export const inlineBytesMax = 16 * 1024;
export const handoutPeersMax = 32;

export type AnnounceEntry = {
  readonly digest: Digest;
  /** want: pulling; have: holds it whole; gone: takes no further part. */
  readonly state: 'want' | 'have' | 'gone';
  /** Neighbours that the announcer asks for now; 0 renews the lease only. */
  readonly seek: number;
  /** What the announcer knows, so that a tracker that was restarted learns it again. Believed from origins only. */
  readonly meta?: Metainfo | undefined;
};
export type AnnounceRequest = { readonly self: PeerAddress; readonly entries: readonly AnnounceEntry[] };

export type AnnounceAnswer = {
  readonly digest: Digest;
  readonly peers: readonly PeerAddress[];
  readonly meta?: Metainfo | undefined;
  /** Base64 of the whole blob, at most inlineBytesMax. */
  readonly inline?: string | undefined;
  /** Set where no origin knows the blob (final), or none could be asked (retry). */
  readonly error?: 'unknown' | 'unavailable' | undefined;
};
export type AnnounceReply = {
  /** A lease lasts this long unless renewed. */
  readonly leaseMs: number;
  /** Renew no later than this. */
  readonly intervalMs: number;
  /** Only for entries that asked for something. */
  readonly answers: readonly AnnounceAnswer[];
};
/** `inline` as above. */
export type Located = { readonly digest: Digest; readonly meta: Metainfo; readonly inline?: string | undefined };
