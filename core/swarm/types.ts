/**
 * The swarm's face: what goes in, what comes out. One `Swarm` serves all blobs of one node.
 *
 * Contract: `handle(input, nowMs)`, then `drain()` until the next input; `deadlineMs` is when a
 * `tick` is due (Infinity: never). The host performs outputs in order and never calls `handle`
 * from within; results come back as later inputs. The swarm never sees a piece's bytes.
 */

import type { Digest } from '../digest.ts';
import type { Growth, Metainfo } from '../piece.ts';
import type { Prng } from '../prng.ts';
import type { Message, PeerAddress } from '../wire/messages.ts';

/** A connection, numbered by whoever makes it: even for those the swarm dials, odd for accepted ones. */
export type LinkNo = number;
/** A blob, numbered by the host; reused only after `drop`. Small, for it indexes arrays. */
export type BlobNo = number;
/** Where an arrived piece lies; the host's to choose. */
export type SlotNo = number;

export type Input =
  /** Take part in a blob. `have` is a bit set as in Opened; `all` where we hold it whole. `meta` and `hashes` where known. */
  | {
      readonly kind: 'blob';
      readonly blob: BlobNo;
      readonly digest: Digest;
      readonly meta: Metainfo | undefined;
      readonly hashes: Uint8Array | undefined;
      readonly have: Uint8Array | 'all' | undefined;
      readonly pull: boolean;
    }
  /** Take no further part; every link's swarm of it is closed. */
  | { readonly kind: 'drop'; readonly blob: BlobNo }
  /** The blob was revoked by an origin or the operator. */
  | { readonly kind: 'revoke'; readonly blob: BlobNo }
  /** Peers to dial, from the tracker. */
  | {
      readonly kind: 'candidates';
      readonly blob: BlobNo;
      readonly peers: readonly PeerAddress[];
      readonly meta: Metainfo | undefined;
    }
  /**
   * So much is known of the blob while an origin receives it; again whenever it is more. From a tracker: length, count and
   * root. Of whoever receives the blob: `hashes`, which are all that are known, and `gained`, pieces that it stored since.
   */
  | {
      readonly kind: 'grown';
      readonly blob: BlobNo;
      readonly growth: Growth;
      readonly hashes?: Uint8Array | undefined;
      readonly gained?: readonly number[] | undefined;
    }
  /** Whoever received the blob has all of it, and its digest is right. Others hear of `meta` from a tracker. */
  | { readonly kind: 'settled'; readonly blob: BlobNo; readonly meta: Metainfo; readonly hashes: Uint8Array }
  /** A local reader stands at piece `at` and reads up to piece `end` (exclusive). Again to move it. */
  | {
      readonly kind: 'reader';
      readonly blob: BlobNo;
      readonly reader: number;
      readonly at: number;
      readonly end: number;
    }
  | { readonly kind: 'readerGone'; readonly blob: BlobNo; readonly reader: number }
  /**
   * There is no room for the blob as a whole: from the first of these on only pieces of `add` are fetched. Those of
   * `drop` are not wanted any more, and if they were held they are not any longer. What the verifier has is the host's to refuse.
   * `ends`: there is room after all, or time: everything that is lacking is fetched.
   */
  | {
      readonly kind: 'scope';
      readonly blob: BlobNo;
      readonly add: readonly number[];
      readonly drop: readonly number[];
      readonly ends?: true | undefined;
    }
  /** A link is up. `dialled`: by us (we pull). */
  | { readonly kind: 'connected'; readonly link: LinkNo; readonly dialled: boolean }
  /** A link ended or could not be made. */
  | { readonly kind: 'closed'; readonly link: LinkNo; readonly why: string }
  | { readonly kind: 'message'; readonly link: LinkNo; readonly message: Exclude<Message, { kind: 'piece' }> }
  /** A piece's last byte is in `slot`. Only after `expects` said yes to its header. */
  | {
      readonly kind: 'arrived';
      readonly link: LinkNo;
      readonly swarm: number;
      readonly piece: number;
      readonly slot: SlotNo;
    }
  /**
   * Verdict on an arrived piece: 'held' also says that it is stored. 'failed': the disk would not take it. 'unwanted':
   * there is no room for it any more.
   */
  | {
      readonly kind: 'verified';
      readonly blob: BlobNo;
      readonly piece: number;
      readonly link: LinkNo;
      readonly verdict: Verdict;
    }
  /** A piece that we believed to hold cannot be read or does not match: no longer held. */
  | { readonly kind: 'lost'; readonly blob: BlobNo; readonly piece: number }
  | { readonly kind: 'tick' };

export type Verdict = 'held' | 'corrupt' | 'failed' | 'unwanted';

export type Output =
  | { readonly kind: 'dial'; readonly link: LinkNo; readonly peer: PeerAddress }
  /** After what was sent before on it. `whose`: the peer's misbehaviour, its silence, or nobody's doing; for logs and counters. */
  | { readonly kind: 'close'; readonly link: LinkNo; readonly why: string; readonly whose: CloseCause }
  | { readonly kind: 'send'; readonly link: LinkNo; readonly message: Message }
  /** Read the piece, send its header and its bytes. Unreadable: send Missing, and `lost` as input. */
  | {
      readonly kind: 'feed';
      readonly link: LinkNo;
      readonly grant: number;
      readonly swarm: number;
      readonly blob: BlobNo;
      readonly piece: number;
      readonly length: number;
    }
  /** Do not feed it, if its header is not out yet: send Missing instead. A `feed` ends in exactly one of Piece and Missing. */
  | {
      readonly kind: 'unfeed';
      readonly link: LinkNo;
      readonly grant: number;
      readonly swarm: number;
      readonly piece: number;
    }
  /** Hash it and store it; answer `verified`. */
  | {
      readonly kind: 'verify';
      readonly link: LinkNo;
      readonly blob: BlobNo;
      readonly piece: number;
      readonly slot: SlotNo;
      readonly length: number;
    }
  /** An arrived piece that we have from elsewhere: free its slot. */
  | { readonly kind: 'release'; readonly slot: SlotNo }
  /** The metainfo and the piece-hash list are known and agree; the host may make room for the blob. Before any `verify`. */
  | {
      readonly kind: 'learned';
      readonly blob: BlobNo;
      readonly meta: Metainfo;
      readonly growth?: undefined;
      readonly hashes: Uint8Array;
    }
  /** The same of a blob that grows, of the part that is known; again whenever that is more, at last with `meta`. */
  | {
      readonly kind: 'learned';
      readonly blob: BlobNo;
      readonly meta?: undefined;
      readonly growth: Growth;
      readonly hashes: Uint8Array;
    }
  /** Of a blob that grows: a neighbour knows more of it than was told by `grown`. Ask the tracker, which alone is believed. */
  | { readonly kind: 'refresh'; readonly blob: BlobNo; readonly whole: boolean }
  /** What was told of it contradicts itself: drop the pieces, cut the readers, begin anew. It has left. */
  | { readonly kind: 'odds'; readonly blob: BlobNo }
  /** Every piece is held. */
  | { readonly kind: 'complete'; readonly blob: BlobNo }
  /** More neighbours are wanted for the blob: ask the tracker. */
  | { readonly kind: 'seek'; readonly blob: BlobNo }
  /** An origin revoked it: drop the pieces, cut the readers. */
  | { readonly kind: 'revoked'; readonly blob: BlobNo };

/** fault: it broke the protocol. slow: it owed something and did not move. none: as it should be. */
export type CloseCause = 'fault' | 'slow' | 'none';

export type SwarmConfig = {
  readonly self: PeerAddress;
  readonly cluster: string;
  readonly prng: Prng;
  /** BLAKE3 of a piece-hash list, hex: checks it against the root. */
  readonly rootOf: (hashes: Uint8Array) => string;
  /** Uplink, bytes a second, as far as known: sizes the cap on outstanding bytes. */
  readonly uplinkBytesPerS: number;
  /** Room for inbound and unverified bytes, the receive share: the downlink window is no wider. */
  readonly windowBytes: number;
  readonly policy: PolicyConfig;
};

/** Numbers that the simulator tunes; defaults in policy.ts. */
export type PolicyConfig = {
  readonly neighboursPerBlobMax: number;
  readonly neighboursMax: number;
  /** Sum over outstanding pieces of 1 / (1 + pieces that others are sending that neighbour), less what is on no wire (uplink.ts). */
  readonly uplinkTarget: number;
  readonly uplinkTargetEnd: number;
  readonly endBytes: number;
  /** An origin that gave each piece once passes over neighbours to whom others send this many. */
  readonly originSparePieces: number;
  /** Outstanding bytes are capped at what the uplink sends in this time, but never below this many pieces. */
  readonly uplinkCapMs: number;
  readonly uplinkCapPiecesMin: number;
  /** The downlink window: this many bytes, or this many pieces where they are long; at most the host's `windowBytes`. */
  readonly windowBytes: number;
  readonly windowPieces: number;
  /** While less than one part in `windowStartShare` of the blob is held: fewer pieces. */
  readonly windowPiecesStart: number;
  readonly windowStartShare: number;
  /** After a pass a neighbour rests this long, or until its next message. */
  readonly passRestMs: number;
  /** After a pass for want of room it is asked again when less is on its way to it, or after this long. */
  readonly fullRestMs: number;
  /** A grant that is not answered in this time is taken back. */
  readonly grantExpiryMs: number;
  /** A link on which something is owed and nothing moves is closed after this, and the time that a piece takes at the floor rate. */
  readonly stallMs: number;
  readonly havesEveryMs: number;
  readonly readWindowBytesMin: number;
  readonly readWindowBytesMax: number;
  /** Whether we say that we know wishes (wishes.ts). */
  readonly wishes: boolean;
  /** A piece in flight is late beyond this, and beyond `hedgeFactor` times its neighbour's own high percentile. */
  readonly hedgeFloorMs: number;
  readonly hedgeFactor: number;
  /** Who misbehaved is banned for so long at first, for twice as long each time, up to. */
  readonly banMs: number;
  readonly banMsMax: number;
};

/** What a blob's part in the swarm has come to; pieces unless said otherwise. */
export type BlobStats = {
  readonly pieces: number;
  readonly held: number;
  /** Hashes that are known: of a blob that grows fewer than it has pieces. */
  readonly known: number;
  readonly inFlight: number;
  readonly neighbours: number;
  readonly sources: number;
  readonly sinks: number;
  /** Verified bytes, by the role of who sent them. */
  readonly bytesFromPeers: number;
  readonly bytesFromOrigins: number;
  /** Bytes whose receipt we have. */
  readonly bytesSent: number;
  readonly hedges: number;
  readonly duplicates: number;
  readonly corrupt: number;
};

/** What a tick is for: more may be granted, news go out in a batch, pieces on their way are looked at, the graph is tended. */
export const swarmDues = ['grants', 'news', 'flights', 'graph'] as const;
export type SwarmDue = (typeof swarmDues)[number];

/** The node as a whole. */
export type SwarmTotals = {
  readonly links: number;
  readonly peers: number;
  readonly blobs: number;
  readonly inPieces: number;
  readonly inBytes: number;
  /** Grants out that are not answered or not receipted yet, and their bytes. */
  readonly outPieces: number;
  readonly outBytes: number;
};
