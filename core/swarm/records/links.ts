/**
 * The swarm's records: peers, links, and what each link carries. Data only; the rules that change
 * them live in the modules named below.
 *
 * - Peer: a node that we have a link with; at most one link each way.
 * - OutLink: we dialled, so we pull on it. Its Sources are the blobs that we opened there (puller.ts).
 * - InLink: we accepted, so we feed on it. Its Sinks are the blobs that were opened by the peer (feeder.ts).
 * - Edge: a peer in the graph of one blob, with its Source, its Sink, or both (graph.ts).
 * - Flight: a piece on its way to us (puller.ts, hedge.ts). Allowance: a grant of ours (uplink.ts).
 */

import { FEATURES } from '../../wire/frames.ts';
import type { PeerAddress, Wish } from '../../wire/messages.ts';
import { hashListsMax, refusedMax, wishesAtOnceMax } from '../limits.ts';
import type { LinkNo } from '../types.ts';
import type { Bits } from './bits.ts';
import type { Blob } from './blob.ts';

export type Peer = {
  readonly node: string;
  readonly address: PeerAddress;
  out: OutLink | undefined;
  in: InLink | undefined;
  /** In how many blobs' graphs it is our neighbour. */
  edges: number;
};

export type Edge = { readonly peer: Peer; readonly blob: Blob; source: Source | undefined; sink: Sink | undefined };

/**
 * due: on its way. late: and a hedge is wanted. hedge: the second one of a late piece.
 * hedged: a late one whose hedge is on its way. cancelled: if it still comes it is thrown away.
 */
export type FlightState = 'due' | 'late' | 'hedged' | 'hedge' | 'cancelled';

export class Flight {
  state: FlightState = 'due';
  /** Cancelled since it stood still, not since another one came first. */
  givenUp = false;
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

/**
 * waiting: the link or the metainfo is not there yet. opening: Open is sent. offered: the feeder is
 * full and offered an edge. open. parting: takes no more pieces, closes after those in flight.
 * closed: kept only until the pieces that may still come on it have come.
 */
export type SourceState = 'waiting' | 'opening' | 'offered' | 'open' | 'parting' | 'closed';

export class Source {
  state: SourceState = 'waiting';
  readonly link: OutLink;
  readonly swarm: number;
  readonly blob: Blob;
  readonly edge: Edge;
  /** Holds every piece; else `bits` says which. */
  all = false;
  bits: Bits | undefined = undefined;
  /** Pieces of `bits` that we lack and do not fetch. For `all` the blob's own count holds. */
  count = 0;
  /** `count` as the feeder last heard it. */
  told = 0;
  queued = false;
  /** What its feeder last heard that we wish for (wishes.ts). */
  wishes: readonly Wish[] = [];
  flights: Flight[] = [];
  sinceMs = 0;
  token = 0;
  /** The feeder that offered this edge, to be opened when this one answers. */
  via: Source | undefined = undefined;
  /** Times that it named a piece which is not in scope. */
  misfits = 0;
  /** Opened as `empty`: the piece of a one-piece blob may come unasked. */
  gift = false;
  constructor(link: OutLink, swarm: number, edge: Edge) {
    this.link = link;
    this.swarm = swarm;
    this.blob = edge.blob;
    this.edge = edge;
  }
}

export class OutLink {
  readonly kind = 'out';
  state: 'dialling' | 'greeting' | 'active' = 'dialling';
  readonly no: LinkNo;
  readonly peer: Peer;
  readonly sources: Source[] = [];
  /** Counts on past the 16 bits of the wire, so that it says whether a number was ever used. */
  nextSwarm = 0;
  sinceMs: number;
  arrivedMs: number;
  /** Those that both sides have (wire/frames.ts). */
  features = 0;
  /** Pieces that have come on it. */
  arrived = 0;
  /** What it owed was given up, or missing, before it had sent anything. */
  letDown = false;
  /** Of those on their way on it, those that have stood still for a while. */
  standingPieces = 0;
  standingBytes = 0;
  /** A high percentile of how long its pieces take, kept as an estimate; 0: none has come yet. */
  slowMs = 0;
  /** Waits to hear that there is room (room.ts). */
  turnedAway = false;
  /** Pieces on their way from others, as its feeder last heard. */
  toldOthers = 0;
  /** When room was last kept for its next grant; -1: none is kept. */
  promisedMs = -1;
  constructor(no: LinkNo, peer: Peer, nowMs: number) {
    this.no = no;
    this.peer = peer;
    this.sinceMs = nowMs;
    this.arrivedMs = nowMs;
  }
}

/** A grant that we gave: `piece` is -1 while the puller has not said. */
export class Allowance {
  state: 'offered' | 'sending' = 'offered';
  readonly grant: number;
  readonly named: boolean;
  piece: number;
  bytes: number;
  sinceMs: number;
  constructor(grant: number, piece: number, bytes: number, sinceMs: number) {
    this.grant = grant;
    this.named = piece >= 0;
    this.piece = piece;
    this.bytes = bytes;
    this.sinceMs = sinceMs;
  }
}

export type SinkWish = Wish & { readonly sinceMs: number };

/** pending: we do not know the blob well enough to answer yet. parting: gets no more grants. */
export type SinkState = 'pending' | 'open' | 'parting';

export class Sink {
  state: SinkState = 'pending';
  readonly link: InLink;
  readonly swarm: number;
  readonly blob: Blob;
  readonly edge: Edge;
  /** Pieces that it would take from us, as last heard. */
  count = 0;
  /** Of our grants to it, those not answered yet. */
  offered = 0;
  /** Pieces that it was the first to be given; at most as many as the blob has. */
  readonly given: number[] = [];
  allowances: Allowance[] = [];
  /** What it wishes for, as last heard, and since when. */
  wishes: SinkWish[] = [];
  /** How far in the blob's log of new pieces it has been told. */
  told = 0;
  empty = false;
  needHashes = false;
  /** It wants others than were named to it: it chooses the next one. */
  choosy = false;
  constructor(link: InLink, swarm: number, edge: Edge) {
    this.link = link;
    this.swarm = swarm;
    this.blob = edge.blob;
    this.edge = edge;
  }
}

export class InLink {
  readonly kind = 'in';
  state: 'greeting' | 'active' = 'greeting';
  readonly no: LinkNo;
  peer: Peer | undefined = undefined;
  /** Those that both sides have (wire/frames.ts). */
  features = 0;
  readonly sinks: Sink[] = [];
  swarmMax = -1;
  nextGrant = 1;
  /** Grants out, those of them accepted, sinks that want something. */
  outstanding = 0;
  sending = 0;
  hungry = 0;
  /** Its part of the node's uplink load. */
  weight = 0;
  /** As last heard: pieces that others send it, bytes on their way to it. */
  others = 0;
  inBytes = 0;
  restsUntilMs = 0;
  /** It passed for want of room with this many bytes on their way to it: no more until there are fewer, or until then. */
  fullBytes = 0;
  fullUntilMs = 0;
  /** Times in a row that grants expired, after each of which it spoke. */
  ignored = 0;
  /** Opens that may still be refused, as of `refusedMs`. */
  refusals = refusedMax;
  refusedMs: number;
  /** Bytes of hash lists that it may still be sent, as of `hashesMs`. */
  hashBytes = hashListsMax;
  hashesMs: number;
  /** Changes of wishes that it may still say, as of `wishedMs`. */
  wishesLeft = wishesAtOnceMax;
  wishedMs: number;
  heardMs: number;
  /** When a receipt last came. */
  receiptMs: number;
  sinceMs: number;
  constructor(no: LinkNo, nowMs: number) {
    this.no = no;
    this.refusedMs = nowMs;
    this.hashesMs = nowMs;
    this.wishedMs = nowMs;
    this.heardMs = nowMs;
    this.receiptMs = nowMs;
    this.sinceMs = nowMs;
  }
}

export type Link = OutLink | InLink;

export function knowsWishes({ features }: Link): boolean {
  return (features & FEATURES.wishes) !== 0;
}

export function findSource(link: OutLink, swarm: number): Source | undefined {
  const { sources } = link;
  for (let i = 0; i < sources.length; i += 1) if (sources[i]!.swarm === swarm) return sources[i];
  return undefined;
}

export function findSink(link: InLink, swarm: number): Sink | undefined {
  const { sinks } = link;
  for (let i = 0; i < sinks.length; i += 1) if (sinks[i]!.swarm === swarm) return sinks[i];
  return undefined;
}

export function findFlight(source: Source, piece: number): Flight | undefined {
  const { flights } = source;
  for (let i = 0; i < flights.length; i += 1) if (flights[i]!.piece === piece) return flights[i];
  return undefined;
}

/** Takes `item` out of `list`; the order is not kept. */
export function takeOut<T>(list: T[], item: T): boolean {
  const at = list.indexOf(item);
  if (at < 0) return false;
  const last = list.pop()!;
  if (at < list.length) list[at] = last;
  return true;
}
