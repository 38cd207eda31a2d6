/**
 * What the swarm remembers of peers, links and blobs: data and questions; ours.ts says who may write what.
 *
 * - Peer: a node that we have a link with; at most one link each way.
 * - OutLink: we dialled, so we pull on it. Its Sources are the blobs that we opened there.
 * - InLink: we accepted, so we feed on it. Its Sinks are the blobs that were opened by the peer.
 * - Edge: a peer in the graph of one blob, with its Source, its Sink, or both.
 * - Flight: a piece on its way to us.
 *
 * A piece of a blob is in exactly one state: held; open (lacking, nobody sends it); between the two, that is in
 * flight or with the verifier; or shut (lacking, not in scope): there is no room for it, or its hash is not known yet.
 */

import type { Digest } from '../../digest.ts';
import { type Growth, hashBytes, type Metainfo, pieceBytes, pieceCount } from '../../piece.ts';
import type { Open, PeerAddress, Wish } from '../../wire/messages.ts';
import { refusedMax, refusedPerMs } from '../limits.ts';
import type { BlobNo, LinkNo } from '../types.ts';
import { add, type Bits, bits, countBits, has, noHoldings, remove, type SeenBits, type SeenBytes } from './bits.ts';
import {
  type BlobStage,
  blobLife,
  type EdgeState,
  type FlightState,
  type LinkState,
  next,
  type SourceState,
} from './lives.ts';
import type { Ours } from './ours.ts';
import { Abroad, type Allowance, Budget, Feeder, Neighbourhood } from './parts.ts';
import { newPuller, type Puller } from './puller.ts';
import type { Rows } from './rows.ts';
import { SinkRow } from './sink.ts';

const none: SeenBits = new Int32Array(0);
const noBytes = new Uint8Array(0);

// ---- graph/ writes these ----------------------------------------------------------------------

export type Peer = {
  readonly node: string;
  readonly address: PeerAddress;
  /** In another zone: pulling/far.ts. */
  readonly far: boolean;
  readonly out: OutLink | undefined;
  readonly in: InLink | undefined;
  /** In how many blobs' graphs it is our neighbour. */
  readonly edges: number;
};

export class Edge {
  readonly state: EdgeState = 'hoped';
  readonly peer: Peer;
  readonly blob: Blob;
  readonly source: Source | undefined = undefined;
  readonly sink: Sink | undefined = undefined;
  constructor(peer: Peer, blob: Blob) {
    this.peer = peer;
    this.blob = blob;
  }
}

/** All but `feeder` and `sources`, which pulling/ writes. */
export class OutLink {
  readonly kind = 'out';
  readonly state: LinkState = 'dialling';
  readonly no: LinkNo;
  readonly peer: Peer;
  /** Counts on past the 16 bits of the wire, so that it says whether a number was ever used. */
  readonly nextSwarm: number = 0;
  readonly sinceMs: number;
  /** Those that both sides have (wire/frames.ts). */
  readonly features: number = 0;
  readonly feeder: Feeder;
  readonly sources: readonly Source[] = [];
  constructor(no: LinkNo, peer: Peer, nowMs: number) {
    this.no = no;
    this.peer = peer;
    this.sinceMs = nowMs;
    this.feeder = new Feeder(nowMs);
  }
}

/** All but `puller` and `sinks`, which feeding/ writes. */
export class InLink {
  readonly kind = 'in';
  readonly state: LinkState = 'greeting';
  readonly no: LinkNo;
  /** From its greeting on. */
  readonly peer: Peer | undefined = undefined;
  readonly features: number = 0;
  readonly swarmMax: number = -1;
  readonly sinceMs: number;
  /** Opens that may still be refused. */
  readonly refusals: Budget;
  readonly puller: Puller;
  readonly sinks: readonly Sink[] = [];
  constructor(no: LinkNo, pullers: Rows, nowMs: number) {
    this.no = no;
    this.sinceMs = nowMs;
    this.refusals = new Budget(refusedMax, refusedPerMs, nowMs);
    this.puller = newPuller(pullers, nowMs);
  }
}

export type Link = OutLink | InLink;

/** An accepted link whose peer has said who it is. */
export type Greeted = InLink & { readonly peer: Peer };
export function isGreeted(link: InLink): link is Greeted {
  return link.state === 'active' && link.peer !== undefined;
}

// ---- pulling/ writes these --------------------------------------------------------------------

export class Flight {
  readonly state: FlightState = 'due';
  readonly source: Source;
  readonly piece: number;
  readonly bytes: number;
  readonly sinceMs: number;
  constructor(source: Source, piece: number, bytes: number, sinceMs: number) {
    this.source = source;
    this.piece = piece;
    this.bytes = bytes;
    this.sinceMs = sinceMs;
  }
}

export class Source {
  readonly state: SourceState = 'waiting';
  readonly link: OutLink;
  readonly swarm: number;
  readonly blob: Blob;
  readonly edge: Edge;
  /** It holds every piece, as it said. */
  readonly all: boolean = false;
  /** Where the pieces lie that it holds (bits.ts); -1 before it has opened, and once it is closed. */
  readonly place: number = -1;
  /** Whether its pieces count among `holders`: not those of an origin that receives the blob, from which others get theirs. */
  readonly counted: boolean = true;
  /** How many we would take as the feeder last heard it. */
  readonly told: number = 0;
  readonly queued: boolean = false;
  /** What its feeder last heard that we wish for (wishes.ts). */
  readonly wishes: readonly Wish[] = [];
  readonly flights: readonly Flight[] = [];
  readonly sinceMs: number;
  readonly token: number;
  /** Hashes of the list that its feeder knows: all but while the blob grows. */
  readonly knows: number = 0;
  /** The feeder that offered this edge, to be opened when this one answers. */
  readonly via: Source | undefined;
  /** Times that it named a piece which is not in scope. */
  readonly misfits: number = 0;
  /** Opened as `empty`: the piece of a one-piece blob may come unasked. */
  readonly gift: boolean = false;
  constructor(edge: Edge, link: OutLink, swarm: number, by: Beginning) {
    this.link = link;
    this.swarm = swarm;
    this.blob = edge.blob;
    this.edge = edge;
    this.token = by.token;
    this.via = by.via;
    this.sinceMs = by.nowMs;
  }

  /** Of the pieces that it holds, those that we lack and do not fetch; 0 where it holds all: the blob's own count holds. */
  get count(): number {
    return this.place < 0 ? 0 : this.blob.pulling.holdings.counts[this.place]!;
  }

  holds(piece: number): boolean {
    return this.all || (this.place >= 0 && this.blob.pulling.holdings.has(this.place, piece));
  }
}
type Beginning = { readonly token: number; readonly via: Source | undefined; readonly nowMs: number };
/** How far the hash list of a blob has come. */
export type Learning = {
  /** When the metainfo became known. */
  readonly sinceMs: number;
  /** Whom the list is asked of, how much is here, since when. */
  readonly lead: Source | undefined;
  readonly at: number;
  readonly askedMs: number;
  readonly hashes: Uint8Array;
  /** What of the list is to be known, and its root. */
  readonly goal: Metainfo | Growth;
};

/** `far`: it began or jumped past pieces that are lacking, where nothing comes by itself soon. */
export type Reader = { readonly reader: number; readonly at: number; readonly end: number; readonly far: boolean };

/** Of one blob. */
class Pulling {
  /** Lacking pieces that are fetched; undefined: all of them. For the others there is no room (scope.ts). */
  readonly scope: SeenBits | undefined = undefined;
  readonly open: SeenBits = none;
  readonly openCount: number = 0;
  /** Of them, those that may come from other zones. */
  readonly abroad = new Abroad();
  /** By piece: how many sources that do not hold everything hold it, and are counted. */
  readonly holders: SeenBytes = noBytes;
  /** Open or parting ones only. */
  readonly sources: readonly Source[] = [];
  readonly holdings = noHoldings();
  readonly unchecked: number = 0;
  /** While it is rooted; of a blob that grows, while more of its list is to be known than is. */
  readonly learning: Learning | undefined = undefined;
  /** Memory for the whole list, where it does not come in one part. */
  readonly list: Uint8Array = noBytes;
  /** The host knows that neighbours know more than it has told. */
  readonly behind: false | 'more' | 'whole' = false;
  readonly readers: readonly Reader[] = [];
  /** One of the readers is far; what these waited for when that was last looked at. */
  readonly astray: boolean = false;
  readonly awaited: readonly number[] = [];
  /** Late flights without a hedge, and hedges on their way. */
  readonly late: readonly Flight[] = [];
  readonly hedging: number = 0;
  /** Of the duplicates, those that had been given up. */
  readonly cameTooLate: number = 0;
  readonly restsUntilMs: number = 0;
  readonly diskRefusals: number = 0;
  readonly bytesFromPeers: number = 0;
  readonly bytesFromOrigins: number = 0;
  readonly arrived: number = 0;
  readonly hedges: number = 0;
  readonly duplicates: number = 0;
  readonly corrupt: number = 0;
}

// ---- feeding/ writes these --------------------------------------------------------------------

export class SinkRecord extends SinkRow {
  readonly link: InLink;
  readonly swarm: number;
  readonly blob: Blob;
  readonly edge: Edge;
  /** Asked for with Open: the piece of a one-piece blob, the hash list. */
  readonly empty: boolean;
  readonly needHashes: boolean;
  /** Pieces that it was the first to be given; at most as many as the blob has. */
  readonly given: readonly number[] = [];
  readonly allowances: readonly Allowance[] = [];
  /** It wants others than were named to it: it chooses the next one. */
  readonly choosy: boolean = false;
  constructor(rows: Rows, edge: Edge, link: InLink, asked: Open) {
    super(rows, link.puller);
    this.link = link;
    this.swarm = asked.swarm;
    this.blob = edge.blob;
    this.edge = edge;
    this.empty = asked.empty;
    this.needHashes = asked.needHashes;
  }
}
export type Sink = Readonly<SinkRecord>;

/** Of one blob. */
class Feeding {
  readonly sinks: readonly Sink[] = [];
  /** Where the row of each begins (sink.ts). */
  readonly sinkRows: readonly number[] = [];
  /** Sinks that would take something of us. */
  readonly takers: number = 0;
  /** Pieces to give by name, since nobody else may hold them; those that one neighbour alone said to be elsewhere apart. */
  readonly unsent: SeenBits = none;
  readonly doubted: SeenBits = none;
  /** Of both. */
  readonly unsentCount: number = 0;
  /** By doubted piece: the link that said so. */
  readonly tellers: SeenBits = none;
  /** Pieces that we had not given and that turned out to be elsewhere: others give them as well. */
  readonly foundElsewhere: number = 0;
  /** By node that wanted nothing more when it left: what it was the first to be given. No more nodes than pieces. */
  readonly givenTo: ReadonlyMap<string, readonly number[]> = new Map();
  /** Pieces that became held since `freshBase`, in order; sinks are told by batch. */
  readonly fresh: readonly number[] = [];
  readonly freshBase: number = 0;
  /** Pieces that were given up since the last batch. */
  readonly gone: readonly number[] = [];
  readonly bytesSent: number = 0;
}

// ---- a blob ------------------------------------------------------------------------------------

/** Its own part is written by its methods. */
export class Blob {
  readonly no: BlobNo;
  readonly digest: Digest;
  readonly stage: BlobStage = 'bare';
  readonly pull: boolean;
  readonly meta: Metainfo = { length: 0, pieceLength: 0, root: '' };
  /** Those that are known, and right: the first `known` of the list. */
  readonly hashes: Uint8Array = noBytes;
  readonly known: number = 0;
  readonly pieces: number = 0;
  readonly held: SeenBits = none;
  readonly heldCount: number = 0;
  readonly pulling = new Pulling();
  readonly feeding = new Feeding();
  readonly graph = new Neighbourhood<Edge>();
  /** Somebody here has a wish, or a feeder has heard of one. Whoever hears of a wish says so; pulling/wishes.ts takes it back. */
  wishing = false;

  constructor(no: BlobNo, digest: Digest, pull: boolean) {
    this.no = no;
    this.digest = digest;
    this.pull = pull;
  }

  /** The metainfo is known. `have` pieces of it are here. */
  root(meta: Metainfo, have: (pieces: number) => Bits = bits, as: 'rooted' | 'growing' = 'rooted'): void {
    const ours = become(this, as);
    ours.meta = meta;
    ours.pieces = pieceCount(meta);
    ours.held = have(this.pieces);
    ours.heldCount = countBits(this.held);
  }

  /** The hash list is known and agrees with the root. */
  ready(meta: Metainfo, hashes: Uint8Array): void {
    learn(become(this, 'ready'), meta, hashes);
  }

  /** More of the list is known while it grows. */
  grow({ length, pieceLength, root }: Growth, hashes: Uint8Array): void {
    learn(this as Blob as Ours<Blob>, { length, pieceLength, root }, hashes);
  }

  leave(): void {
    become(this, 'gone');
  }

  gain(piece: number): void {
    const ours = this as Blob as Ours<Blob>;
    add(ours.held, piece);
    ours.heldCount += 1;
  }

  lose(piece: number): void {
    const ours = this as Blob as Ours<Blob>;
    remove(ours.held, piece);
    ours.heldCount -= 1;
  }

  /** Of a blob that there is no room for nothing stays, however much of it is here now. */
  get complete(): boolean {
    return this.stage === 'ready' && this.heldCount === this.pieces && this.pulling.scope === undefined;
  }

  /** Pieces of it come and go. */
  get usable(): boolean {
    return this.stage === 'ready' || this.stage === 'growing';
  }

  /** Whether pieces are still to come. */
  get unfinished(): boolean {
    return this.pull && this.stage !== 'gone' && !this.complete;
  }

  bytes(piece: number): number {
    return pieceBytes(this.meta, piece);
  }

  holds(piece: number): boolean {
    return this.usable && has(this.held, piece);
  }

  /** Whether there is room for the piece, and its hash is known. */
  inScope(piece: number): boolean {
    const { scope } = this.pulling;
    return piece < this.known && (scope === undefined || has(scope, piece));
  }

  edgeOf(node: string): Edge | undefined {
    for (const edge of this.graph.edges) if (edge.peer.node === node) return edge;
    return undefined;
  }

  /** Bytes that we still lack, about. */
  get lackingBytes(): number {
    return (this.pieces - this.heldCount) * this.meta.pieceLength;
  }
}

function learn(ours: Ours<Blob>, meta: Metainfo, hashes: Uint8Array): void {
  ours.meta = meta;
  ours.hashes = hashes;
  ours.known = hashes.length / hashBytes;
}

function become(blob: Blob, stage: BlobStage): Ours<Blob> {
  const ours = blob as Ours<Blob>;
  ours.stage = next(blobLife, blob.stage, stage);
  return ours;
}
