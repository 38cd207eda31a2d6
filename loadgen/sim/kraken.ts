/**
 * Kraken's published behaviour on the simulated network, for comparison: one connection per peer
 * and torrent, 10 per torrent, 3 requests queued at an agent and 5 at an origin, rarest first with
 * ties by index, one announce of one torrent every 3 s, 50 peers handed out (complete ones first,
 * then origins, then the rest), 30 s blacklist, pieces of 4 MiB, 16 s piece timeout, endgame at 3.
 * Source: the project's reference of Kraken, section 3; what is kinder to Kraken than the real
 * thing: haves are seen at once when a request is chosen, hashing and disks cost nothing.
 */

import { type Events, SimEvent } from './events.ts';
import type { Fleet, FleetContext, FleetTotals } from './fleet.ts';
import { CallEvent, type Network, Pipe } from './network/network.ts';

const connectionsMax = 10;
const pipelineToAgent = 3;
const pipelineToOrigin = 5;
const announceEveryMs = 3000;
const handoutPeers = 50;
const blacklistMs = 30_000;
const timeoutPerMiBMs = 4000;
const timeoutMinMs = 4000;
const endgamePieces = 3;
const dialTimeoutMs = 5000;
const controlBytes = 64;

type Request = { readonly connection: Connection; readonly piece: number; readonly sentMs: number };

/** One host's part in one torrent. */
class Torrent {
  readonly host: Host;
  readonly blob: number;
  readonly have: Uint8Array;
  /** Neighbours that have each piece. */
  readonly known: Uint16Array;
  /** Outstanding requests for each piece. */
  readonly asked: Uint8Array;
  readonly requests = new Set<Request>();
  readonly connections = new Set<Connection>();
  readonly blacklist = new Map<number, number>();
  held: number;

  constructor(host: Host, blob: number, pieces: number, complete: boolean) {
    this.host = host;
    this.blob = blob;
    this.have = new Uint8Array(pieces).fill(complete ? 1 : 0);
    this.known = new Uint16Array(pieces);
    this.asked = new Uint8Array(pieces);
    this.held = complete ? pieces : 0;
  }
  get complete(): boolean {
    return this.held === this.have.length;
  }
}

class Host {
  readonly no: number;
  readonly origin: boolean;
  alive = true;
  readonly torrents = new Map<number, Torrent>();
  announceAt = 0;
  constructor(no: number, origin: boolean) {
    this.no = no;
    this.origin = origin;
  }
}

/** Both directions of a connection between two torrents of the same blob. */
class Connection {
  readonly a: Torrent;
  readonly b: Torrent;
  readonly toA: Pipe;
  readonly toB: Pipe;
  open = true;
  pendingAtA = 0;
  pendingAtB = 0;
  constructor(a: Torrent, b: Torrent) {
    this.a = a;
    this.b = b;
    this.toA = new Pipe(b.host.no, a.host.no);
    this.toB = new Pipe(a.host.no, b.host.no);
  }
  other(torrent: Torrent): Torrent {
    return torrent === this.a ? this.b : this.a;
  }
  pipeTo(torrent: Torrent): Pipe {
    return torrent === this.a ? this.toA : this.toB;
  }
}

class PieceEvent extends SimEvent {
  readonly fleet: KrakenFleet;
  readonly to: Torrent;
  readonly request: Request;
  constructor(fleet: KrakenFleet, to: Torrent, request: Request) {
    super();
    this.fleet = fleet;
    this.to = to;
    this.request = request;
  }
  run(): void {
    this.fleet.pieceArrived(this.to, this.request);
  }
}

class HaveEvent extends SimEvent {
  readonly fleet: KrakenFleet;
  readonly connection: Connection;
  readonly to: Torrent;
  readonly piece: number;
  constructor(fleet: KrakenFleet, connection: Connection, to: Torrent, piece: number) {
    super();
    this.fleet = fleet;
    this.connection = connection;
    this.to = to;
    this.piece = piece;
  }
  run(): void {
    this.fleet.haveArrived(this.connection, this.to, this.piece);
  }
}

export class KrakenFleet implements Fleet {
  readonly #context: FleetContext;
  readonly #events: Events;
  readonly #network: Network;
  readonly #hosts: Host[] = [];
  readonly #swarms: Host[][] = [];
  #trackers = true;
  #originBytes = 0;
  #duplicateBytes = 0;

  constructor(context: FleetContext) {
    this.#context = context;
    this.#events = context.events;
    this.#network = context.network;
    const { hosts, origins } = context.options;
    for (let i = 0; i < hosts + origins; i++) this.#hosts.push(new Host(i, i >= hosts));
    for (const blob of context.blobs) {
      this.#swarms.push([]);
      for (let i = hosts; i < hosts + origins; i++) {
        const origin = this.#hosts[i] as Host;
        origin.torrents.set(blob.no, new Torrent(origin, blob.no, blob.pieces, true));
      }
    }
  }

  request(agent: number, blobs: readonly number[]): void {
    const host = this.#hosts[agent] as Host;
    for (const no of blobs) {
      const blob = this.#context.blobs[no];
      if (blob === undefined || host.torrents.has(no)) continue;
      host.torrents.set(no, new Torrent(host, no, blob.pieces, false));
      (this.#swarms[no] as Host[]).push(host);
      this.#announce(host, no);
    }
    this.#events.schedule(new CallEvent(() => this.#announceTick(host)), this.#events.nowMs + announceEveryMs);
    this.#events.schedule(
      new CallEvent(() => this.#expire(host)),
      this.#events.nowMs + this.#timeoutMs(blobs[0] ?? 0) / 2,
    );
  }

  crash(agent: number): void {
    const host = this.#hosts[agent] as Host;
    host.alive = false;
    for (const torrent of host.torrents.values())
      for (const connection of [...torrent.connections]) this.#close(connection);
  }

  revive(agent: number): void {
    const host = this.#hosts[agent] as Host;
    host.alive = true;
    for (const no of host.torrents.keys()) this.#announce(host, no);
    this.#events.schedule(new CallEvent(() => this.#announceTick(host)), this.#events.nowMs + announceEveryMs);
    this.#events.schedule(new CallEvent(() => this.#expire(host)), this.#events.nowMs + timeoutMinMs);
  }

  trackersDie(): void {
    this.#trackers = false;
  }

  readerAt(): void {
    // Kraken serves a blob when it is whole; a reader changes nothing.
  }

  totals(): FleetTotals {
    const [originBytes, duplicateBytes] = [this.#originBytes, this.#duplicateBytes];
    return { originBytes, duplicateBytes, messages: this.#network.messages, announces: 0, announcesMax: 0 };
  }

  /** One torrent a tick, in turn. */
  #announceTick(host: Host): void {
    if (!host.alive) return;
    const wanting = [...host.torrents.values()].filter((t) => !t.complete && t.connections.size < connectionsMax);
    const torrent = wanting[host.announceAt++ % Math.max(1, wanting.length)];
    if (torrent !== undefined) this.#announce(host, torrent.blob);
    const unfinished = [...host.torrents.values()].some((t) => !t.complete);
    if (unfinished)
      this.#events.schedule(new CallEvent(() => this.#announceTick(host)), this.#events.nowMs + announceEveryMs);
  }

  /** Announce and its answer: a round trip to the tracker, then dials in the order of the handout. */
  #announce(host: Host, no: number): void {
    if (!this.#trackers) return;
    const torrent = host.torrents.get(no) as Torrent;
    this.#events.schedule(
      new CallEvent(() => {
        if (!host.alive || torrent.complete) return;
        for (const peer of this.#handout(host, no)) {
          if (torrent.connections.size >= connectionsMax) break;
          this.#dial(torrent, peer);
        }
      }),
      this.#events.nowMs + 4 * this.#context.options.latencyMs + 1,
    );
  }

  #handout(host: Host, no: number): Host[] {
    const swarm = this.#swarms[no] as Host[];
    const chosen: Host[] = [];
    for (let i = 0; i < handoutPeers && i < swarm.length; i++) {
      const peer = swarm[this.#context.prng.below(swarm.length)] as Host;
      if (peer !== host && !chosen.includes(peer)) chosen.push(peer);
    }
    const whole = (peer: Host): boolean => peer.torrents.get(no)?.complete === true;
    const origins = this.#hosts.filter((h) => h.origin);
    for (let i = origins.length - 1; i > 0; i--) {
      const j = this.#context.prng.below(i + 1);
      [origins[i], origins[j]] = [origins[j] as Host, origins[i] as Host];
    }
    return [...chosen.filter(whole), ...origins, ...chosen.filter((peer) => !whole(peer))];
  }

  #dial(from: Torrent, peer: Host): void {
    const nowMs = this.#events.nowMs;
    if ((from.blacklist.get(peer.no) ?? 0) > nowMs) return;
    for (const connection of from.connections) if (connection.other(from).host === peer) return;
    const to = peer.torrents.get(from.blob);
    if (to === undefined || !peer.alive) {
      from.blacklist.set(peer.no, nowMs + dialTimeoutMs + blacklistMs);
      return;
    }
    const connection = new Connection(from, to);
    from.connections.add(connection);
    const roundTripMs = 3 * this.#network.latencyMs(from.host.no, peer.no);
    this.#events.schedule(new CallEvent(() => this.#shake(connection)), nowMs + roundTripMs);
  }

  /** The acceptor takes it if it has room; else it just closes the socket. */
  #shake(connection: Connection): void {
    const { a, b } = connection;
    const both = [...b.connections].some((other) => other.other(b) === a);
    if (!a.host.alive || !b.host.alive || b.connections.size >= connectionsMax || both || (a.complete && b.complete)) {
      connection.open = false;
      a.connections.delete(connection);
      a.blacklist.set(b.host.no, this.#events.nowMs + blacklistMs);
      return;
    }
    b.connections.add(connection);
    for (const [mine, theirs] of [
      [a, b],
      [b, a],
    ] as const) {
      for (let i = 0; i < mine.have.length; i++)
        if (theirs.have[i] === 1) mine.known[i] = (mine.known[i] as number) + 1;
    }
    this.#fill(connection, a);
    this.#fill(connection, b);
  }

  /** Requests from `torrent` over `connection` up to the pipeline limit. */
  #fill(connection: Connection, torrent: Torrent): void {
    if (!connection.open || torrent.complete) return;
    const other = connection.other(torrent);
    const limit = other.host.origin ? pipelineToOrigin : pipelineToAgent;
    const atA = other === connection.a;
    while ((atA ? connection.pendingAtA : connection.pendingAtB) < limit) {
      const piece = this.#choose(torrent, other, connection);
      if (piece < 0) return;
      torrent.asked[piece] = (torrent.asked[piece] as number) + 1;
      const request: Request = { connection, piece, sentMs: this.#events.nowMs };
      torrent.requests.add(request);
      if (atA) connection.pendingAtA++;
      else connection.pendingAtB++;
      this.#network.sendOn(
        connection.pipeTo(other),
        controlBytes,
        new CallEvent(() => this.#serve(connection, other, torrent, request)),
      );
    }
  }

  #choose(torrent: Torrent, other: Torrent, connection: Connection): number {
    const endgame = torrent.have.length - torrent.held <= endgamePieces;
    let best = -1;
    let rarest = 0xffff;
    for (let i = 0; i < torrent.have.length; i++) {
      if (torrent.have[i] === 1 || other.have[i] === 0) continue;
      if ((torrent.asked[i] as number) > 0 && !endgame) continue;
      if (endgame && [...torrent.requests].some((r) => r.connection === connection && r.piece === i)) continue;
      if ((torrent.known[i] as number) < rarest) {
        rarest = torrent.known[i] as number;
        best = i;
      }
    }
    return best;
  }

  #serve(connection: Connection, from: Torrent, to: Torrent, request: Request): void {
    if (!connection.open) return;
    const bytes = this.#bytes(to.blob, request.piece);
    if (from.host.origin) this.#originBytes += bytes;
    this.#network.sendPiece(connection.pipeTo(to), bytes, new PieceEvent(this, to, request));
  }

  pieceArrived(torrent: Torrent, request: Request): void {
    const { connection, piece } = request;
    if (connection.other(torrent) === connection.a) connection.pendingAtA--;
    else connection.pendingAtB--;
    this.#forget(torrent, request);
    if (torrent.have[piece] === 1) this.#duplicateBytes += this.#bytes(torrent.blob, piece);
    else {
      torrent.have[piece] = 1;
      torrent.held++;
      this.#context.onPiece(torrent.host.no, torrent.blob, piece);
      for (const neighbour of torrent.connections) {
        const to = neighbour.other(torrent);
        if (neighbour.open && !to.complete && to.connections.has(neighbour))
          this.#network.sendOn(neighbour.pipeTo(to), controlBytes, new HaveEvent(this, neighbour, to, piece));
      }
    }
    if (torrent.complete) this.#finish(torrent);
    else this.#fill(connection, torrent);
  }

  haveArrived(connection: Connection, torrent: Torrent, piece: number): void {
    if (!connection.open) return;
    torrent.known[piece] = (torrent.known[piece] as number) + 1;
    this.#fill(connection, torrent);
  }

  #finish(torrent: Torrent): void {
    for (const connection of [...torrent.connections])
      if (connection.other(torrent).complete && !connection.other(torrent).host.origin) this.#close(connection);
    for (const connection of [...torrent.connections])
      if (connection.other(torrent).host.origin) this.#close(connection);
  }

  /** Requests older than the timeout go to another peer. */
  #expire(host: Host): void {
    if (!host.alive) return;
    let unfinished = false;
    let timeoutMs = timeoutMinMs;
    for (const torrent of host.torrents.values()) {
      if (torrent.complete) continue;
      unfinished = true;
      timeoutMs = this.#timeoutMs(torrent.blob);
      for (const request of [...torrent.requests]) {
        if (this.#events.nowMs - request.sentMs < timeoutMs) continue;
        this.#forget(torrent, request);
        for (const connection of torrent.connections)
          if (connection !== request.connection) this.#fill(connection, torrent);
      }
      for (const connection of torrent.connections) this.#fill(connection, torrent);
    }
    if (unfinished) this.#events.schedule(new CallEvent(() => this.#expire(host)), this.#events.nowMs + timeoutMs / 2);
  }

  #forget(torrent: Torrent, request: Request): void {
    if (torrent.requests.delete(request)) torrent.asked[request.piece] = (torrent.asked[request.piece] as number) - 1;
  }

  #close(connection: Connection): void {
    if (!connection.open) return;
    connection.open = false;
    this.#network.close(connection.toA);
    this.#network.close(connection.toB);
    for (const torrent of [connection.a, connection.b]) {
      const other = connection.other(torrent);
      if (!torrent.connections.delete(connection)) continue;
      if (!torrent.complete) torrent.blacklist.set(other.host.no, this.#events.nowMs + blacklistMs);
      for (let i = 0; i < torrent.known.length; i++)
        if (other.have[i] === 1 && (torrent.known[i] as number) > 0)
          torrent.known[i] = (torrent.known[i] as number) - 1;
      for (const request of [...torrent.requests])
        if (request.connection === connection) this.#forget(torrent, request);
      for (const left of torrent.connections) this.#fill(left, torrent);
    }
  }

  #bytes(blob: number, piece: number): number {
    const { length, pieceLength } = this.#context.blobs[blob] as { length: number; pieceLength: number };
    return Math.min(pieceLength, length - piece * pieceLength);
  }

  #timeoutMs(blob: number): number {
    const pieceLength = this.#context.blobs[blob]?.pieceLength ?? 0;
    return Math.max(timeoutMinMs, (pieceLength / 2 ** 20) * timeoutPerMiBMs);
  }
}
