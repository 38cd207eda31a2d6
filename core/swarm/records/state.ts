/**
 * The one mutable world of a Swarm, handed to every module. Only `Swarm.handle` enters it. The modules share no other
 * state, and none of them keeps a clock: `nowMs` is the last input's. Each room has a part that it alone writes;
 * `due` is the notice board: any room may write there, and whoever does the work takes it off.
 */

import type { Digest } from '../../digest.ts';
import { isFar, zoneOf } from '../../place.ts';
import type { Message, PeerAddress } from '../../wire/messages.ts';
import { wishTwiceBytesMax } from '../limits.ts';
import type { LinkNo, Output, SwarmConfig } from '../types.ts';
import { Bans } from './bans.ts';
import { Meter } from './meter.ts';
import { pullerWidth } from './puller.ts';
import type { Blob, Edge, Link, OutLink, Peer, Source } from './records.ts';
import { Rows } from './rows.ts';
import { sinkWidth } from './sink.ts';

/** A piece with the verifier. */
export type Check = { readonly blob: Blob; readonly piece: number; readonly peer: Peer; readonly bytes: number };

/** An edge offer (graph/edge-offers.ts). given: we are p. reserved: we are q. Each holds until `untilMs`. */
export type Offer = {
  readonly side: 'given' | 'reserved';
  readonly token: number;
  readonly blob: Blob;
  /** The edge that is to go: to q for p, to p for q. */
  readonly edge: Edge;
  readonly newcomer: string;
  readonly untilMs: number;
  /** The newcomer is here; the other end has it too. */
  readonly here: boolean;
  readonly there: boolean;
};

/** A link on which what is owed does not come; or all links of a peer, which is at fault and banned. */
export type Closing =
  | { readonly kind: 'slow'; readonly link: Link; readonly why: string }
  | { readonly kind: 'fault'; readonly peer: Peer; readonly why: string };

/** pulling/ writes it. */
class Downlink {
  readonly checks: readonly Check[] = [];
  /** On their way to us, and arrived but not verified. */
  readonly inPieces: number = 0;
  readonly inBytes: number = 0;
  readonly uncheckedBytes: number = 0;
  /** Of what is on its way, that on links where nothing has moved for a while. */
  readonly standingPieces: number = 0;
  readonly standingBytes: number = 0;
  /** Links whose feeder we passed for want of room, and those that room is kept for; the first one first. */
  readonly waiting: readonly OutLink[] = [];
  readonly promised: readonly OutLink[] = [];
  /** Of the blobs of which pieces came, the one with the widest downlink window. */
  readonly widest: Blob | undefined = undefined;
  /** Sources whose feeder should hear a new count. */
  readonly wants: readonly Source[] = [];
}

/** feeding/ writes it. */
class Uplink {
  /** Our grants: their number, bytes and load (uplink.ts). */
  readonly outPieces: number = 0;
  readonly outBytes: number = 0;
  readonly load: number = 0;
  /** Time from a grant to its answer, about; 0: none was answered yet. */
  readonly answerMs: number = 0;
  readonly meter: Meter;
  /** Of each link that we feed on what is known of its other end. */
  readonly pullers = new Rows(pullerWidth);
  /** And of each blob on such a link. */
  readonly sinks = new Rows(sinkWidth);
  /** Links that would take something, the blobs of it, whose turn it is. */
  readonly takers: number = 0;
  readonly blobs: readonly Blob[] = [];
  readonly turn: number = 0;
  /** There was credit, and nobody to grant it to: more credit changes nothing. */
  readonly noTaker: boolean = false;
  /** Bytes that wishes may still have given twice, as of `twiceMs` (unsent.ts). */
  readonly twiceBytes: number = wishTwiceBytesMax;
  readonly twiceMs: number = 0;
  /** Blobs with something new for their sinks, and with something gone. */
  readonly freshOf: readonly Blob[] = [];
  readonly goneOf: readonly Blob[] = [];
  constructor(config: SwarmConfig) {
    this.meter = new Meter(config.uplinkBytesPerS);
  }
}

/** graph/ writes it. */
class Graph {
  readonly links: ReadonlyMap<LinkNo, Link> = new Map();
  readonly peers: ReadonlyMap<string, Peer> = new Map();
  /** Peers that are neighbours in some blob's graph; others have an idle link. */
  readonly neighbours: number = 0;
  readonly bans: Bans;
  readonly nextLink: LinkNo = 0;
  readonly offers: readonly Offer[] = [];

  constructor({ policy }: SwarmConfig) {
    this.bans = new Bans(policy);
  }
}

/** What a step, or the time, has made due. */
class Due {
  /** Blobs whose graph is looked after; whose last piece came; that an origin revoked. */
  readonly connect = new Set<Blob>();
  readonly finished = new Set<Blob>();
  readonly disowned = new Set<Blob>();
  /** Blobs of which contradictory things were told. */
  readonly odds = new Set<Blob>();
  /** There is something in one of these four: in most steps there is not, and a set is slow to ask. */
  marked = false;
  /** Links that are to be closed, which graph/links.ts does. */
  readonly closings: Closing[] = [];
  /** There may be somebody to grant something to. */
  pump = false;
  /** A count went from nothing to something. */
  wants = false;
  /** Blobs whose wishes may have changed; whether one of them cannot wait for the next batch. */
  readonly wishes = new Set<Blob>();
  wishesNow = false;
  /** Room has come in our downlink; pieces that were on their way will not come, or not soon. */
  room = false;
  loss = false;
  /** When each kind of work is due: side by side (rows.ts), for every step looks at all of them. */
  readonly #atMs = new Float64Array(5).fill(Infinity);

  get batchAtMs(): number {
    return this.#atMs[0]!;
  }
  set batchAtMs(ms: number) {
    this.#atMs[0] = ms;
  }
  get pumpAtMs(): number {
    return this.#atMs[1]!;
  }
  set pumpAtMs(ms: number) {
    this.#atMs[1] = ms;
  }
  get scanAtMs(): number {
    return this.#atMs[2]!;
  }
  set scanAtMs(ms: number) {
    this.#atMs[2] = ms;
  }
  get graphAtMs(): number {
    return this.#atMs[3]!;
  }
  set graphAtMs(ms: number) {
    this.#atMs[3] = ms;
  }
  get gossipAtMs(): number {
    return this.#atMs[4]!;
  }
  set gossipAtMs(ms: number) {
    this.#atMs[4] = ms;
  }

  /** When the first of them is due; Infinity: never. */
  get firstAtMs(): number {
    return Math.min(this.batchAtMs, this.pumpAtMs, this.scanAtMs, this.graphAtMs);
  }

  mark(as: 'connect' | 'finished' | 'disowned' | 'odds', blob: Blob): void {
    this[as].add(blob);
    this.marked = true;
  }
}

export class State {
  readonly config: SwarmConfig;
  readonly nowMs: number = 0;
  /** Only `push` it; the face empties it. */
  readonly out: Output[] = [];

  /** The face (blobs.ts) writes these. By number; holes are undefined. */
  readonly blobs: readonly (Blob | undefined)[] = [];
  readonly byDigest: ReadonlyMap<Digest, Blob> = new Map();
  /** Those with pieces to come. */
  readonly unfinished: ReadonlySet<Blob> = new Set();
  readonly revoked: ReadonlySet<Digest> = new Set();

  readonly down = new Downlink();
  readonly up: Uplink;
  readonly graph: Graph;
  readonly due = new Due();

  /** Whether anything can be far. */
  readonly zoned: boolean;

  constructor(config: SwarmConfig) {
    this.config = config;
    this.zoned = zoneOf(config.self.zone) !== '';
    this.up = new Uplink(config);
    this.graph = new Graph(config);
  }

  send(link: Link, message: Message): void {
    this.out.push({ kind: 'send', link: link.no, message });
  }

  /** What `blob`'s readers and sinks wish for is looked at with the next batch, or at the end of the step. */
  wishesMayChange(blob: Blob, urgent: boolean): void {
    this.due.wishes.add(blob);
    this.due.wishesNow ||= urgent;
    this.batch();
  }

  /** Whether what comes from there crosses zones. */
  isFar(address: PeerAddress): boolean {
    return this.zoned && isFar(this.config.self.zone, address.zone);
  }

  /** Work on the next batch boundary. */
  batch(): void {
    if (this.due.batchAtMs === Infinity) this.due.batchAtMs = this.nowMs + this.config.policy.havesEveryMs;
  }

  /** `ms` give or take a quarter, so that hosts which start together do not stay together. */
  jitter(ms: number): number {
    return ms * (0.75 + this.config.prng.unit() / 2);
  }

  dialled(no: LinkNo): OutLink | undefined {
    const link = this.graph.links.get(no);
    return link?.kind === 'out' ? link : undefined;
  }
}
