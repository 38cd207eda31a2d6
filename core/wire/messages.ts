/**
 * What peers say to each other, as values. The codec gives them bytes; the swarm gives them meaning.
 *
 * A connection (link) carries pieces one way: the side that dialled is the puller, the side that
 * accepted is the feeder. Two neighbours that want from each other share two links. A puller gives
 * each blob a number, valid on that link only (`swarm`); every later message names it.
 *
 * Rule 1: values only; nothing here knows a socket, a clock or a slot.
 * Rule 2: every field is bounded by limits.ts, and the codec refuses what is not.
 */

import type { Digest } from '../digest.ts';
import type { Metainfo } from '../piece.ts';

/** Where a peer can be dialled. `node` is its identity: 32 hex digits, drawn anew at each start. */
export type PeerAddress = {
  readonly node: string;
  /** IPv4, IPv6 (no brackets) or a host name. */
  readonly host: string;
  readonly port: number;
  readonly role: 'agent' | 'origin';
  readonly zone: string;
};

/** What a puller is busy with: carried wherever it helps the feeder to rank its neighbours. */
export type Inbound = {
  /** Pieces on their way to the puller, over all its links and blobs. */
  readonly inPieces: number;
  /** Bytes of these that have yet to arrive. */
  readonly inBytes: number;
};

// ---- either way ------------------------------------------------------------------------------

/** The first message each way. `port` 0: cannot be dialled. */
export type Hello = {
  readonly kind: 'hello';
  readonly version: number;
  /** Bit set of features; unknown bits are ignored, the intersection is used. */
  readonly features: number;
  readonly cluster: string;
  readonly self: PeerAddress;
};

/** The last message on a link: nothing follows. */
export type Goodbye = { readonly kind: 'goodbye'; readonly reason: GoodbyeReason };
export type GoodbyeReason =
  | 'idle'
  | 'shutdown'
  | 'fault'
  | 'full'
  | 'cluster'
  | 'version'
  | 'banned'
  | 'duplicate'
  | 'slow';

/** p to q: newcomer `node` will open `swarm` with you, with this token, in place of our edge. */
export type EdgeReserve = {
  readonly kind: 'edgeReserve';
  readonly swarm: number;
  readonly token: number;
  readonly node: string;
};
/** q to p: the newcomer with this token has greeted me. Then p to q: me too, let us part. */
export type EdgeTaken = { readonly kind: 'edgeTaken'; readonly swarm: number; readonly token: number };
/** Some of my neighbours in this swarm, so that it survives its trackers. */
export type Neighbours = {
  readonly kind: 'neighbours';
  readonly swarm: number;
  readonly peers: readonly PeerAddress[];
};
/** Under the feature `growing` only, of a blob that grows: I know the first `known` hashes of its list by now. */
export type Grown = { readonly kind: 'grown'; readonly swarm: number; readonly known: number };

// ---- puller to feeder ------------------------------------------------------------------------

/** I want this blob from you. `token` is 0, or that of an edge offer (accept even when full). */
export type Open = {
  readonly kind: 'open';
  readonly swarm: number;
  readonly digest: Digest;
  readonly token: number;
  /** I lack everything: a blob of one piece may come with the answer. */
  readonly empty: boolean;
  /** I need the piece-hash list. */
  readonly needHashes: boolean;
};
export type Close = { readonly kind: 'close'; readonly swarm: number };
/** How many pieces I would take from you now, per blob; sent when it changed, in a batch. */
export type Wants = Inbound & { readonly kind: 'wants'; readonly swarms: readonly { swarm: number; count: number }[] };
/** I take this grant for this piece. `hedge`: it is also on its way from elsewhere, late. */
export type Request = Inbound & {
  readonly kind: 'request';
  readonly grant: number;
  readonly swarm: number;
  readonly piece: number;
  readonly hedge: boolean;
  readonly count: number;
};
/** I do not take this grant. `count` as in Wants. */
export type Pass = Inbound & {
  readonly kind: 'pass';
  readonly grant: number;
  readonly swarm: number;
  readonly reason: 'busy' | 'nothing' | 'held';
  readonly count: number;
};
/** The last byte of the piece is here, or Missing came in its place: your credit is free. */
export type Receipt = Inbound & {
  readonly kind: 'receipt';
  readonly swarm: number;
  readonly piece: number;
  readonly count: number;
};
/** I no longer want this piece: do not send it if you have not begun (then answer Missing). */
export type Cancel = { readonly kind: 'cancel'; readonly swarm: number; readonly piece: number };
/**
 * You named me a piece. Of the pieces around it, ascending, these are here already, on their way to me, or held by
 * a neighbour of mine: somebody gave them.
 */
export type Elsewhere = {
  readonly kind: 'elsewhere';
  readonly swarm: number;
  readonly pieces: readonly number[] | Uint32Array;
};
/** A piece that a reader waits for. `hops`: how many more times whoever lacks it may pass the wish on. */
export type Wish = { readonly piece: number; readonly hops: number };
/**
 * Under the feature `wishes` only. Readers wait for these out of the blue, the first one first; in place of what was
 * wished on this swarm before, so that none means that no wish is left.
 */
export type Wishes = { readonly kind: 'wishes'; readonly swarm: number; readonly wishes: readonly Wish[] };
export type WantHashes = { readonly kind: 'wantHashes'; readonly swarm: number; readonly from: number };

// ---- feeder to puller ------------------------------------------------------------------------

/**
 * Answer to Open. `have` holds ceil(pieces/8) bytes, piece i is bit (i & 7) of byte i >> 3; empty
 * with `all`. `growing`: an origin still receives the blob; the feeder knows the first `known` hashes, and the root is
 * theirs. Only to who has the feature of that name, and never with `all`.
 */
export type Opened = {
  readonly kind: 'opened';
  readonly swarm: number;
  readonly meta: Metainfo;
  readonly all: boolean;
  readonly growing: boolean;
  readonly known?: number;
  readonly have: Uint8Array;
};
/** Answer to Open: no, why, and who else might. Later: the feeder ends the swarm, as Close does for the puller. */
export type Refuse = {
  readonly kind: 'refuse';
  readonly swarm: number;
  readonly reason: RefuseReason;
  readonly peers: readonly PeerAddress[];
};
export type RefuseReason = 'unknown' | 'full' | 'limit' | 'revoked' | 'leaving';
/** I am full, but you may have the edge to `peer`: open there with `token`; I accept you as well. */
export type EdgeOffer = {
  readonly kind: 'edgeOffer';
  readonly swarm: number;
  readonly peer: PeerAddress;
  readonly token: number;
};
/** Pieces that I hold since I last said so, ascending. */
export type Haves = {
  readonly kind: 'haves';
  readonly swarm: number;
  readonly pieces: readonly number[] | Uint32Array;
  readonly all: boolean;
};
/** Pieces that I said to hold and do not any more, ascending. To those who have the feature of that name. */
export type Gone = { readonly kind: 'gone'; readonly swarm: number; readonly pieces: readonly number[] | Uint32Array };
/**
 * You may have one piece of this blob now. `piece` is -1 (you choose) or the piece that I name. To an
 * `empty` opener of a blob of one piece it needs no Request: Piece follows at once (or Missing).
 */
export type Grant = { readonly kind: 'grant'; readonly grant: number; readonly swarm: number; readonly piece: number };
/** Header of a piece; `length` payload bytes follow the frame on the link, outside of it. */
export type Piece = {
  readonly kind: 'piece';
  readonly grant: number;
  readonly swarm: number;
  readonly piece: number;
  readonly length: number;
};
/** I granted it, but do not send it (unreadable, or you cancelled it): ask elsewhere. */
export type Missing = {
  readonly kind: 'missing';
  readonly grant: number;
  readonly swarm: number;
  readonly piece: number;
};
/** 32 bytes a piece, from piece `from`; `total` of them in all, or of a blob that grows as many as the feeder knows. */
export type Hashes = {
  readonly kind: 'hashes';
  readonly swarm: number;
  readonly from: number;
  readonly total: number;
  readonly hashes: Uint8Array;
};
/** The blob was not what it claimed: drop every piece of it. Believed from an origin only. */
export type Revoke = { readonly kind: 'revoke'; readonly swarm: number };

export type PullerMessage = Open | Close | Wants | Request | Pass | Receipt | Cancel | Elsewhere | Wishes | WantHashes;
export type FeederMessage = Opened | Refuse | EdgeOffer | Haves | Grant | Piece | Missing | Hashes | Revoke | Gone;
export type EitherMessage = Hello | Goodbye | EdgeReserve | EdgeTaken | Neighbours | Grown;
export type Message = PullerMessage | FeederMessage | EitherMessage;
