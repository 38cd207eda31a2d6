/**
 * The one mutable world of a Swarm, handed to every module. Only `Swarm.handle` enters it.
 * The modules share no other state, and none of them keeps a clock: `nowMs` is the last input's.
 */

import type { Digest } from '../../digest.ts';
import type { Inbound, Message } from '../../wire/messages.ts';
import { wishTwiceBytesMax } from '../limits.ts';
import type { LinkNo, Output, SwarmConfig } from '../types.ts';
import { Bans } from './bans.ts';
import type { Blob } from './blob.ts';
import type { Edge, Link, OutLink, Peer, Source } from './links.ts';
import { Meter } from './meter.ts';

export type Check = { readonly blob: Blob; readonly piece: number; readonly peer: Peer; readonly bytes: number };

/** An edge offer (graph/offers.ts). given: we are p. reserved: we are q. Each holds until `untilMs`. */
export type Offer = {
  readonly side: 'given' | 'reserved';
  readonly token: number;
  readonly blob: Blob;
  /** The edge that is to go: to q for p, to p for q. */
  readonly edge: Edge;
  readonly newcomer: string;
  readonly untilMs: number;
  /** The newcomer is here; the other end has it too. */
  here: boolean;
  there: boolean;
};

export class State {
  readonly config: SwarmConfig;
  nowMs = 0;
  out: Output[] = [];

  readonly links = new Map<LinkNo, Link>();
  readonly peers = new Map<string, Peer>();
  /** Peers that are neighbours in some blob's graph; others have an idle link. */
  neighbours = 0;
  readonly bans = new Bans();
  nextLink: LinkNo = 0;
  /** By number; holes are undefined. */
  readonly blobs: (Blob | undefined)[] = [];
  readonly byDigest = new Map<Digest, Blob>();
  /** Blobs with pieces to come, and those of them whose graph should be looked after in this step. */
  readonly pulling = new Set<Blob>();
  readonly needy = new Set<Blob>();
  /** Blobs whose last piece came in this step. */
  readonly finished = new Set<Blob>();
  /** Blobs that an origin revoked in this step. */
  readonly disowned = new Set<Blob>();
  readonly revoked = new Set<Digest>();
  readonly offers: Offer[] = [];

  /** Pieces with the verifier. */
  readonly checks: Check[] = [];
  /** On their way to us, and arrived but not verified. */
  inPieces = 0;
  inBytes = 0;
  uncheckedBytes = 0;
  /** Of what is on its way, that on links where nothing has moved for a while. */
  standingPieces = 0;
  standingBytes = 0;

  /** Our grants: their number, bytes and load (uplink.ts); links and blobs that want something. */
  outPieces = 0;
  outBytes = 0;
  load = 0;
  /** Time from a grant to its answer, about; 0: none was answered yet. */
  answerMs = 0;
  readonly meter: Meter;
  wanting = 0;
  readonly feeding: Blob[] = [];
  turn = 0;
  pumpDue = false;
  /** There was credit, and nobody to grant it to: more credit changes nothing. */
  noTaker = false;

  /** Blobs with news for their sinks, sources whose feeder should hear a new count. */
  readonly newsOf: Blob[] = [];
  readonly goneOf: Blob[] = [];
  readonly wants: Source[] = [];
  wantsUrgent = false;
  /** Blobs whose wishes may have changed; whether that can wait for the next batch. */
  readonly wishesDue = new Set<Blob>();
  wishesUrgent = false;
  /** Bytes that wishes may still have given twice, as of `twiceMs` (naming.ts). */
  twiceBytes = wishTwiceBytesMax;
  twiceMs = 0;
  /** Links whose feeder we passed for want of room, the first one first; whether room has come. */
  readonly turnedAway: OutLink[] = [];
  /** Of the blobs of which pieces came, the one with the widest downlink window. */
  widest: Blob | undefined = undefined;
  /** Links that room is kept for, the first one first. */
  readonly promised: OutLink[] = [];
  roomDue = false;
  /** Pieces that were on their way will not come, or not soon. */
  lossDue = false;

  /** When each kind of work is due. */
  batchAtMs = Infinity;
  pumpAtMs = Infinity;
  scanAtMs = Infinity;
  graphAtMs = Infinity;
  gossipAtMs = Infinity;

  constructor(config: SwarmConfig) {
    this.config = config;
    this.meter = new Meter(config.uplinkBytesPerS);
  }

  send(link: Link, message: Message): void {
    this.out.push({ kind: 'send', link: link.no, message });
  }

  /**
   * Our load, as the feeder on `link` hears of it: what stands still elsewhere takes nothing of our downlink. An origin
   * does not hear of what comes from whom nothing has come yet either: it leaves us to others where they send, and those
   * who only say so would keep it from it (hostile peers: 0.3 of the speed without them, then 0.68).
   */
  inbound(link: OutLink): Inbound {
    const load = this.#load(link);
    link.toldOthers = load.inPieces - flightsOn(link);
    return load;
  }

  /** Pieces on their way from others, as the feeder on `link` would hear of them now. */
  othersThan(link: OutLink): number {
    return this.#load(link).inPieces - flightsOn(link);
  }

  #load(link: OutLink): Inbound {
    const inPieces = this.inPieces - this.standingPieces + link.standingPieces;
    const inBytes = this.inBytes - this.standingBytes + link.standingBytes;
    if (link.peer.address.role !== 'origin') return { inPieces, inBytes };
    let pieces = 0;
    let bytes = 0;
    for (const other of this.links.values()) {
      if (other.kind !== 'out' || other === link || other.arrived > 0) continue;
      pieces -= other.standingPieces;
      bytes -= other.standingBytes;
      for (const { flights } of other.sources) {
        pieces += flights.length;
        for (const flight of flights) bytes += flight.bytes;
      }
    }
    return { inPieces: inPieces - pieces, inBytes: inBytes - bytes };
  }

  /** Something moves on `link`, or it is gone. */
  moves(link: OutLink): void {
    this.standingPieces -= link.standingPieces;
    this.standingBytes -= link.standingBytes;
    link.standingPieces = 0;
    link.standingBytes = 0;
  }

  /** `pieces` on their way on `link` stand still. */
  stands(link: OutLink, pieces: number, bytes: number): void {
    this.standingPieces += pieces;
    this.standingBytes += bytes;
    link.standingPieces += pieces;
    link.standingBytes += bytes;
    this.roomDue = true;
    this.lossDue = true;
  }

  /** What `blob`'s readers and sinks wish for is looked at with the next batch, or at the end of the step. */
  wishesMayChange(blob: Blob, urgent: boolean): void {
    this.wishesDue.add(blob);
    this.wishesUrgent ||= urgent;
    this.batch();
  }

  /** Work on the next batch boundary. */
  batch(): void {
    if (this.batchAtMs === Infinity) this.batchAtMs = this.nowMs + this.config.policy.havesEveryMs;
  }

  /** `ms` give or take a quarter, so that hosts which start together do not stay together. */
  jitter(ms: number): number {
    return ms * (0.75 + this.config.prng.unit() / 2);
  }

  dialled(no: LinkNo): OutLink | undefined {
    const link = this.links.get(no);
    return link?.kind === 'out' ? link : undefined;
  }
}

function flightsOn({ sources }: OutLink): number {
  let count = 0;
  for (const { flights } of sources) count += flights.length;
  return count;
}
