/**
 * Agents, origins and trackers that run core/ unmodified on the simulated network: this is their
 * `Host`. One armed deadline per node; nothing here decides what a peer does.
 */

import { Announcer } from '../../core/announce/announcer.ts';
import { announceTiming } from '../../core/announce/timing.ts';
import type { AnnouncerOutput } from '../../core/announce/types.ts';
import type { Digest } from '../../core/digest.ts';
import { hashBytes, type Metainfo } from '../../core/piece.ts';
import { prng } from '../../core/prng.ts';
import { Swarm } from '../../core/swarm/swarm.ts';
import type { Input, Output, PolicyConfig } from '../../core/swarm/types.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import { Driver } from '../../platform/drive/driver.ts';
import { alarmOf } from './alarm.ts';
import { OriginAsks } from './asks.ts';
import { hashesOf, rootOfBlob, rootOfHashes } from './contents.ts';
import { SimEvent } from './events.ts';
import type { Fleet, FleetContext, FleetTotals, SimBlob } from './fleet.ts';
import { Backend } from './growing.ts';
import { Connections } from './network/connections.ts';
import { CallEvent } from './network/network.ts';
import { type Disk, type End, Node } from './nodes.ts';
import { policyOf, zoneNameOf } from './options.ts';
import { type SimTracker, trackersOf } from './trackers.ts';

class PieceEvent extends SimEvent {
  readonly fleet: ShoalFleet;
  readonly to: End;
  readonly swarm: number;
  readonly piece: number;
  constructor(fleet: ShoalFleet, to: End, feed: { swarm: number; piece: number; length: number }) {
    super();
    this.host = to.node.host;
    this.fleet = fleet;
    this.to = to;
    this.swarm = feed.swarm;
    this.piece = feed.piece;
    this.bytes = feed.length;
  }
  run(): void {
    this.fleet.pieceArrived(this.to, this.swarm, this.piece, this.bytes);
  }
}

class VerifiedEvent extends SimEvent {
  readonly fleet: ShoalFleet;
  readonly node: Node;
  readonly link: number;
  readonly blob: number;
  readonly piece: number;
  constructor(fleet: ShoalFleet, node: Node, verify: { link: number; blob: number; piece: number }) {
    super();
    this.host = node.host;
    this.fleet = fleet;
    this.node = node;
    this.link = verify.link;
    this.blob = verify.blob;
    this.piece = verify.piece;
  }
  run(): void {
    this.fleet.verified(this.node, this.link, this.blob, this.piece);
  }
}

export class ShoalFleet implements Fleet {
  readonly #context: FleetContext;
  readonly #policy: PolicyConfig;
  readonly #nodes: Node[] = [];
  readonly #byId = new Map<string, Node>();
  readonly #metas: Metainfo[];
  readonly #hashes: Uint8Array[];
  readonly #digests: Digest[];
  readonly #blobNo = new Map<Digest, number>();
  readonly #trackers: SimTracker[];
  readonly #connections: Connections;
  readonly #asks: OriginAsks;
  /** Where the blobs come from while hosts pull them. */
  readonly #backend: Backend | undefined;
  #originBytes = 0;
  #duplicateBytes = 0;
  #starts = 0;

  constructor(context: FleetContext) {
    this.#context = context;
    const { options, blobs } = context;
    this.#policy = policyOf(options);
    this.#connections = new Connections(this, context.network);
    this.#metas = blobs.map((blob) => ({
      length: blob.length,
      pieceLength: blob.pieceLength,
      root: rootOfBlob(blob.no),
    }));
    this.#hashes = blobs.map((blob) => hashesOf(blob));
    this.#digests = blobs.map((blob) => `sha256:${blob.no.toString(16).padStart(64, '0')}` as Digest);
    for (const [no, digest] of this.#digests.entries()) this.#blobNo.set(digest, no);
    for (let host = 0; host < options.hosts; host++) this.#nodes.push(this.#start(host, 'agent', new Map()));
    for (let host = options.hosts; host < options.hosts + options.origins; host++)
      this.#nodes.push(this.#startOrigin(host));
    const [first] = this.#nodes.slice(options.hosts) as [Node];
    const { metas: known, hashes } = { metas: this.#metas, hashes: this.#hashes };
    if (options.grow > 0)
      this.#backend = new Backend({ context, metas: known, hashes, tell: (input) => this.input(first, input) });
    this.#trackers = trackersOf(context, options.hosts + options.origins, (digest) => this.#locate(digest));
    this.#asks = new OriginAsks(context.network, this.#nodes.slice(options.hosts));
  }

  #locate(digest: Digest) {
    const { hosts } = this.#context.options;
    const no = this.#blobNo.get(digest) ?? -1;
    const meta = this.#metas[no];
    if (meta === undefined) return undefined;
    const origins = this.#nodes.slice(hosts, this.#backend === undefined ? undefined : hosts + 1);
    const what = this.#backend?.ask(no) ?? meta;
    return { what, ageMs: this.#backend?.ageMs(no) ?? 0, origins: origins.map((node) => node.address) };
  }

  request(agent: number, blobs: readonly number[]): void {
    for (const no of blobs) this.#want(this.#nodes[agent] as Node, no);
  }

  crash(agent: number): void {
    const node = this.#nodes[agent] as Node;
    node.end();
    for (let no = 0; no < node.ends.length; no++) this.#connections.cut(node, no);
  }

  revive(agent: number): void {
    const disks = (this.#nodes[agent] as Node).disks;
    const node = this.#start(agent, 'agent', disks);
    this.#nodes[agent] = node;
    for (const [no, disk] of disks) if (disk.wanted) this.#want(node, no);
  }

  trackersDie(): void {
    for (const tracker of this.#trackers) tracker.alive = false;
  }

  readerAt(agent: number, blob: number, piece: number, end?: number): void {
    const node = this.#nodes[agent] as Node;
    const pieces = this.#context.blobs[blob]?.pieces ?? 0;
    if (!node.alive || !node.disks.has(blob)) return;
    if (piece >= pieces) this.input(node, { kind: 'readerGone', blob, reader: 0 });
    else this.input(node, { kind: 'reader', blob, reader: 0, at: piece, end: end ?? pieces });
  }

  totals(): FleetTotals {
    const { messages } = this.#context.network;
    const seconds: number[] = [];
    for (const { announces } of this.#trackers)
      for (const [second, count] of announces.entries()) seconds[second] = (seconds[second] ?? 0) + (count ?? 0);
    const announces = seconds.reduce((sum, count) => sum + (count ?? 0), 0);
    const announcesMax = seconds.reduce((most, count) => Math.max(most, count ?? 0), 0);
    return { originBytes: this.#originBytes, duplicateBytes: this.#duplicateBytes, messages, announces, announcesMax };
  }

  // ---- one input, its outputs, the next deadline -------------------------------------------------

  input(node: Node, input: Input): void {
    node.swarm.input(input);
  }

  #perform(node: Node, output: Output): void {
    switch (output.kind) {
      case 'send':
        return this.#connections.send(node, output.link, output.message);
      case 'feed':
        return this.#feed(node, output);
      case 'verify':
        return this.#verify(node, output);
      case 'dial':
        return this.#connections.dial(node, output.link, this.#byId.get(output.peer.node));
      case 'close':
        return this.#connections.close(node, output.link);
      case 'unfeed':
        return this.#unfeed(node, output);
      case 'seek':
        return node.announcer?.input({
          kind: 'seek',
          digest: this.#digests[output.blob] as Digest,
          count: this.#policy.neighboursPerBlobMax,
        });
      case 'complete':
        return node.announcer?.input({
          kind: 'set',
          digest: this.#digests[output.blob] as Digest,
          state: 'have',
        });
      case 'learned': {
        const disk = node.disks.get(output.blob);
        if (disk !== undefined) disk.learned = output.meta !== undefined;
        return output.growth === undefined
          ? undefined
          : this.#grows(node, output.blob, output.hashes.length / hashBytes);
      }
      case 'release':
        this.#duplicateBytes += output.slot;
        return;
      case 'refresh':
        return this.#grows(node, output.blob, output.whole ? 'whole' : undefined);
      case 'revoked':
      case 'odds':
        return;
    }
  }

  /** So many hashes of the blob are known at `node`; or no more than before, and somebody is further, or whole. */
  #grows(node: Node, blob: number, learned?: number | 'whole'): void {
    const whole = learned === 'whole';
    const known = (whole ? undefined : learned) ?? node.swarm.machine.stats(blob)?.known ?? 0;
    const digest = this.#digests[blob] as Digest;
    node.announcer?.input({ kind: 'grows', digest, known, waits: whole ? learned : learned === undefined });
  }

  // ---- pieces -----------------------------------------------------------------------------------

  #feed(node: Node, feed: { link: number; swarm: number; piece: number; length: number }): void {
    const end = node.ends[feed.link];
    if (end?.pieces === undefined) return;
    // What is said from here on comes after the piece.
    end.said = -1;
    if (node.host >= this.#context.options.hosts) this.#originBytes += feed.length;
    const pipe = end.pieces;
    const event = new PieceEvent(this, end.other, feed);
    const { events, network, options } = this.#context;
    if (options.diskRead === Number.POSITIVE_INFINITY) {
      network.sendPiece(pipe, feed.length, event);
      return;
    }
    node.diskReadMs = Math.max(node.diskReadMs, events.nowMs) + (feed.length * 1000) / options.diskRead;
    events.schedule(new CallEvent(() => network.sendPiece(pipe, feed.length, event)), node.diskReadMs);
  }

  #unfeed(node: Node, feed: { link: number; grant: number; swarm: number; piece: number }): void {
    const withdrawn = node.ends[feed.link]?.pieces?.withdraw(
      (event) => event instanceof PieceEvent && event.swarm === feed.swarm && event.piece === feed.piece,
    );
    if (withdrawn === true)
      this.#connections.send(node, feed.link, {
        kind: 'missing',
        grant: feed.grant,
        swarm: feed.swarm,
        piece: feed.piece,
      });
  }

  pieceArrived(to: End, swarm: number, piece: number, bytes: number): void {
    const { node, no } = to;
    if (!to.open || !node.alive || node.swarm.machine.expects(no, swarm, piece) !== bytes) return;
    // A slot's number stands for its bytes: a released one is a duplicate.
    this.input(node, { kind: 'arrived', link: no, swarm, piece, slot: bytes });
  }

  #verify(node: Node, verify: { link: number; blob: number; piece: number; length: number }): void {
    const { events, options } = this.#context;
    node.diskWriteMs = Math.max(node.diskWriteMs, events.nowMs) + (verify.length * 1000) / options.diskWrite;
    events.schedule(new VerifiedEvent(this, node, verify), node.diskWriteMs);
  }

  verified(node: Node, link: number, blob: number, piece: number): void {
    if (!node.alive) return;
    const have = node.disks.get(blob)?.have;
    if (have !== undefined) have[piece >> 3] = (have[piece >> 3] as number) | (1 << (piece & 7));
    this.input(node, { kind: 'verified', blob, piece, link, verdict: 'held' });
    this.#context.onPiece(node.host, blob, piece);
  }

  // ---- nodes ------------------------------------------------------------------------------------

  #want(node: Node, no: number): void {
    if (!node.alive) return;
    const blob = this.#context.blobs[no] as SimBlob;
    const disk = node.disks.get(no) ?? {
      have: new Uint8Array(Math.ceil(blob.pieces / 8)),
      learned: false,
      wanted: true,
    };
    node.disks.set(no, disk);
    const digest = this.#digests[no] as Digest;
    node.announcer?.input({ kind: 'set', digest, state: 'want' });
    this.input(node, {
      kind: 'blob',
      blob: no,
      digest,
      meta: disk.learned ? this.#metas[no] : undefined,
      hashes: disk.learned ? this.#hashes[no] : undefined,
      have: disk.learned ? disk.have.slice() : undefined,
      pull: true,
    });
  }

  #start(host: number, role: 'agent' | 'origin', disks: Map<number, Disk>): Node {
    const { options, prng: random } = this.#context;
    const start = ++this.#starts;
    const zone = zoneNameOf(options, host);
    const address: PeerAddress = { node: start.toString(16).padStart(32, '0'), host: `h${host}`, port: 1, role, zone };
    const swarm = new Swarm({
      self: address,
      cluster: 'sim',
      prng: prng(random.below(2 ** 31)),
      rootOf: rootOfHashes,
      uplinkBytesPerS: role === 'agent' ? options.up : options.originUp,
      windowBytes: options.window,
      policy: this.#policy,
    });
    const all = Array.from({ length: Math.max(1, options.trackers) }, (_, i) => `t${i}`);
    const trackers = options.trackersApart ? all.slice(host % all.length).slice(0, 1) : all;
    const announcer =
      role === 'agent'
        ? new Announcer({
            self: address,
            trackers,
            prng: prng(random.below(2 ** 31)),
            timing: announceTiming,
            growing: options.grow > 0,
          })
        : undefined;
    const { events } = this.#context;
    const node: Node = new Node(host, address, {
      // Half a round later, so that rounding never makes it too early.
      swarm: new Driver({
        machine: swarm,
        alarm: alarmOf(events, host, events.roundMs / 2),
        perform: (output) => this.#perform(node, output),
      }),
      announcer:
        announcer === undefined
          ? undefined
          : new Driver({
              machine: announcer,
              alarm: alarmOf(events, -1, 0),
              perform: (output) => this.#announced(node, output),
            }),
      disks,
    });
    this.#byId.set(address.node, node);
    return node;
  }

  #startOrigin(host: number): Node {
    const node = this.#start(host, 'origin', new Map());
    const { options, blobs } = this.#context;
    for (const { no } of options.grow === 0 ? blobs : host === options.hosts ? blobs : []) {
      const digest = this.#digests[no] as Digest;
      const whole = { meta: this.#metas[no], hashes: this.#hashes[no], have: 'all' as const };
      const known = options.grow === 0 ? whole : { meta: undefined, hashes: undefined, have: undefined };
      this.input(node, { kind: 'blob', blob: no, digest, ...known, pull: false });
    }
    return node;
  }

  // ---- trackers ---------------------------------------------------------------------------------

  #announced(node: Node, output: AnnouncerOutput): void {
    if (output.kind === 'alone') this.#alone(node, output.digest);
    else if (output.kind === 'answer') {
      const blob = this.#blobNo.get(output.answer.digest) as number;
      const { peers, meta, growth } = output.answer;
      this.input(node, { kind: 'candidates', blob, peers, meta });
      if (growth !== undefined) this.input(node, { kind: 'grown', blob, growth });
    } else if (output.kind === 'send') {
      const { request } = output;
      const tracker = this.#trackers[Number(output.tracker.slice(1))] as SimTracker;
      tracker.ask(node.host, output.body, (reply) =>
        node.announcer?.input(reply === undefined ? { kind: 'failed', request } : { kind: 'reply', request, reply }),
      );
    }
  }

  /** No tracker tells of it: the origins do. */
  #alone(node: Node, digest: Digest): void {
    const blob = this.#blobNo.get(digest) as number;
    this.#asks.ask(node, { digest, meta: this.#metas[blob] as Metainfo }, (told) => {
      // From within an output of the swarm: after it.
      const tell = new CallEvent(() => this.input(node, { kind: 'candidates', blob, ...told }));
      this.#context.events.schedule(tell, this.#context.events.nowMs);
    });
  }
}
