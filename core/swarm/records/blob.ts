/**
 * What we know of one blob: its pieces and its part of the graph. Data and questions; interest.ts
 * changes which pieces are open, held and how many hold them.
 *
 * A piece is in exactly one state: held; open (lacking, nobody sends it); between the two, that is in
 * flight or with the verifier; or, where there is no room for the whole blob, shut (lacking, not in scope).
 */

import { assert } from '../../assert.ts';
import type { Digest } from '../../digest.ts';
import { type Metainfo, pieceBytes, pieceCount } from '../../piece.ts';
import type { PeerAddress } from '../../wire/messages.ts';
import type { BlobNo } from '../types.ts';
import { type Bits, bits, has } from './bits.ts';
import type { Edge, Flight, Sink, Source } from './links.ts';
import { Openers } from './openers.ts';

export type Candidate = { readonly address: PeerAddress; notBeforeMs: number; failures: number };
/** How long nobody has had anything for us (graph.ts). */
export class Hunger {
  /** When this round began, and what was held then. */
  sinceMs = 0;
  held = -1;
  /** Rounds that brought nothing; 0: we do not starve. */
  rounds = 0;
  /** Openings beyond the degree that are left in this round. */
  openings = 0;
}

/** `far`: it began or jumped past pieces that are lacking, where nothing comes by itself soon. */
export type Reader = { readonly reader: number; at: number; end: number; far: boolean };

const none: Bits = new Int32Array(0);

export class Blob {
  readonly no: BlobNo;
  readonly digest: Digest;
  /** bare: no metainfo. rooted: metainfo, no hash list. ready: both. gone: dropped. */
  stage: 'bare' | 'rooted' | 'ready' | 'gone' = 'bare';
  readonly pull: boolean;
  meta: Metainfo = { length: 0, pieceLength: 0, root: '' };
  hashes: Uint8Array = new Uint8Array(0);
  pieces = 0;

  held: Bits = none;
  heldCount = 0;
  /** Lacking pieces that are fetched; undefined: all of them. For the others there is no room (scope.ts). */
  scope: Bits | undefined = undefined;
  open: Bits = none;
  openCount = 0;
  /** By piece: how many sources that do not hold everything hold it. */
  holders = new Uint8Array(0);
  /** Pieces to give by name, since nobody else may hold them; those that one neighbour alone said to be elsewhere apart. */
  unsent: Bits = none;
  doubted: Bits = none;
  /** Of both. */
  unsentCount = 0;
  /** By doubted piece: the link that said so. */
  tellers = new Int32Array(0);
  /** Pieces that we had not given and that turned out to be elsewhere: others give them as well. */
  foundElsewhere = 0;
  uncheckedPieces = 0;

  readonly edges: Edge[] = [];
  /** Open or parting ones only. */
  readonly sources: Source[] = [];
  readonly sinks: Sink[] = [];
  /** Sinks that want something of us. */
  hungry = 0;
  candidates: Candidate[] = [];
  readonly openers = new Openers();
  readonly readers: Reader[] = [];
  /** Somebody here has a wish, or a feeder has heard of one (wishes.ts). */
  wishing = false;
  /** One of the readers is far; what these waited for when that was last looked at. */
  astray = false;
  awaited: readonly number[] = [];
  /** Late flights without a hedge, and hedges on their way. */
  readonly late: Flight[] = [];
  hedging = 0;
  /** Of the duplicates, those that had been given up. */
  cameTooLate = 0;

  /** Pieces that became held since `newsBase`, in order; sinks are told by batch. */
  news: number[] = [];
  newsBase = 0;
  /** Pieces that were given up since the last batch. */
  gone: number[] = [];

  /** Whom the hash list is asked of, how much is here, since when. */
  lead: Source | undefined = undefined;
  hashesAt = 0;
  hashesAskedMs = 0;
  /** When the metainfo became known. */
  rootedMs = 0;

  restsUntilMs = 0;
  diskRefusals = 0;
  seekAtMs = 0;
  readonly hunger = new Hunger();
  seekEveryMs = 0;

  readonly counts = {
    bytesFromPeers: 0,
    bytesFromOrigins: 0,
    bytesSent: 0,
    arrived: 0,
    hedges: 0,
    duplicates: 0,
    corrupt: 0,
  };

  constructor(no: BlobNo, digest: Digest, pull: boolean) {
    this.no = no;
    this.digest = digest;
    this.pull = pull;
  }

  /** The metainfo is known: makes room for the pieces. */
  root(meta: Metainfo): void {
    assert(this.stage === 'bare', 'blob rooted twice');
    this.stage = 'rooted';
    this.meta = meta;
    this.pieces = pieceCount(meta);
    this.held = bits(this.pieces);
    this.open = bits(this.pieces);
    this.holders = new Uint8Array(this.pieces);
  }

  /** Of a blob that there is no room for nothing stays, however much of it is here now. */
  get complete(): boolean {
    return this.stage === 'ready' && this.heldCount === this.pieces && this.scope === undefined;
  }

  /** Whether pieces are still to come. */
  get pulling(): boolean {
    return this.pull && this.stage !== 'gone' && !this.complete;
  }

  bytes(piece: number): number {
    return pieceBytes(this.meta, piece);
  }

  holds(piece: number): boolean {
    return this.stage === 'ready' && has(this.held, piece);
  }

  /** Whether there is room for the piece. */
  inScope(piece: number): boolean {
    return this.scope === undefined || has(this.scope, piece);
  }

  edgeOf(node: string): Edge | undefined {
    for (const edge of this.edges) if (edge.peer.node === node) return edge;
    return undefined;
  }

  /** Bytes that we still lack, about. */
  get lackingBytes(): number {
    return (this.pieces - this.heldCount) * this.meta.pieceLength;
  }
}
