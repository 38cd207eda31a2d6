/**
 * An in-memory host for many swarms: one virtual clock, links with latency, a serial uplink per
 * node, and a tracker that hands out random peers. No sockets, no disk, no bytes. Deterministic by
 * seed. What it leaves out: downlinks, sharing within an uplink, frames that wait behind a piece.
 *
 * Rule 1: checks the contract on the way: a piece must be expected when its header comes, every
 *   `feed` ends in exactly one of Piece and Missing, every slot is verified or released.
 */

import { assert } from '../../assert.ts';
import type { Digest } from '../../digest.ts';
import { hashBytes, type Metainfo } from '../../piece.ts';
import { type Prng, prng } from '../../prng.ts';
import type { Message, PeerAddress } from '../../wire/messages.ts';
import { defaultPolicy } from '../policy.ts';
import { Swarm } from '../swarm.ts';
import type { Input, LinkNo, Output, PolicyConfig } from '../types.ts';
import { Events } from './events.ts';

export type ClusterOptions = {
  readonly seed: number;
  readonly latencyMs?: number;
  readonly uplinkBytesPerS?: number;
  readonly windowBytes?: number;
  readonly policy?: Partial<PolicyConfig>;
  /** Peers that the tracker hands out at a time. */
  readonly handout?: number;
};

type Far = { readonly node: TestNode; readonly link: LinkNo };
type Feed = Extract<Output, { kind: 'feed' }>;

/** One node: its swarm, its links by number, and what it saw happen. */
export class TestNode {
  readonly swarm: Swarm;
  readonly self: PeerAddress;
  state: 'up' | 'down' | 'silent' = 'up';
  /** Sends pieces that fail their hash. */
  corrupts = false;
  uplinkBytesPerS: number;
  readonly far = new Map<LinkNo, Far>();
  nextAccepted = 1;
  readonly queue: Feed[] = [];
  sendingSince = -1;
  wakeAtMs = Infinity;
  readonly slots = new Map<number, boolean>();
  nextSlot = 0;
  readonly completeMs = new Map<number, number>();
  /** By blob: hashes that are known. */
  readonly learned = new Map<number, number>();
  readonly odds: number[] = [];
  refresh: (blob: number) => void = () => undefined;
  readonly faults: string[] = [];
  readonly revoked: number[] = [];
  /** By piece of blob 0: how often sent, when held here. */
  readonly sent: number[] = [];
  readonly heldMs: number[] = [];
  seeks = 0;
  constructor(self: PeerAddress, swarm: Swarm, uplinkBytesPerS: number) {
    this.self = self;
    this.swarm = swarm;
    this.uplinkBytesPerS = uplinkBytesPerS;
  }
}

export class Cluster {
  readonly nodes: TestNode[] = [];
  readonly prng: Prng;
  nowMs = 0;
  trackerUp = true;
  /** By blob: what the tracker says of it. */
  readonly meta = new Map<number, Metainfo>();
  inputs = 0;
  readonly messages = new Map<string, number>();
  /** Verdict instead of 'held', for faults on a node's disk. */
  verdict: ((node: TestNode, piece: number) => 'held' | 'failed' | 'unwanted') | undefined;
  onMessage: ((from: TestNode, to: TestNode, message: Message) => void) | undefined;
  readonly #options: Required<ClusterOptions>;
  readonly #events = new Events();
  readonly #byName = new Map<string, TestNode>();
  readonly #members = new Map<number, Set<TestNode>>();

  constructor(options: ClusterOptions) {
    this.#options = {
      latencyMs: 0.5,
      uplinkBytesPerS: 25e6,
      windowBytes: 16 * 1024 * 1024,
      policy: {},
      handout: 16,
      ...options,
    };
    this.prng = prng(options.seed);
  }

  addNode(role: 'agent' | 'origin', own: Partial<PolicyConfig> = {}): TestNode {
    const { uplinkBytesPerS, windowBytes, policy } = this.#options;
    const no = this.nodes.length;
    const self: PeerAddress = {
      node: no.toString(16).padStart(32, '0'),
      host: `10.0.${no >> 8}.${no & 255}`,
      port: 7000,
      role,
      zone: '',
    };
    const swarm = new Swarm({
      self,
      cluster: 'test',
      prng: prng(this.prng.below(2 ** 31)),
      rootOf: testRoot,
      uplinkBytesPerS,
      windowBytes,
      policy: { ...defaultPolicy, ...policy, ...own },
    });
    const node = new TestNode(self, swarm, uplinkBytesPerS);
    this.nodes.push(node);
    this.#byName.set(self.node, node);
    return node;
  }

  /** `node` holds the whole blob and feeds it. */
  seed(node: TestNode, blob: TestBlob): void {
    this.meta.set(blob.no, blob.meta);
    this.join(node, blob.no);
    const { no, digest, meta, hashes } = blob;
    this.input(node, { kind: 'blob', blob: no, digest, meta, hashes, have: 'all', pull: false });
  }

  /** `node` pulls the blob: the tracker tells it of metainfo and peers. */
  pull(node: TestNode, blob: TestBlob): void {
    this.join(node, blob.no);
    const { no, digest } = blob;
    this.input(node, {
      kind: 'blob',
      blob: no,
      digest,
      meta: undefined,
      hashes: undefined,
      have: undefined,
      pull: true,
    });
  }

  at(ms: number, run: () => void): void {
    this.#events.add(ms, run);
  }

  /** Runs until `until` says so or `ms` have passed; true in the first case. */
  run(ms: number, until: () => boolean = () => false): boolean {
    const endMs = this.nowMs + ms;
    let steps = 0;
    while (this.#events.size > 0 && this.#events.nextMs <= endMs) {
      this.nowMs = Math.max(this.nowMs, this.#events.nextMs);
      this.#events.take()();
      steps += 1;
      if ((steps & 63) === 0 && until()) return true;
    }
    this.nowMs = endMs;
    return until();
  }

  input(node: TestNode, input: Input): void {
    if (node.state === 'down') return;
    this.inputs += 1;
    node.swarm.handle(input, this.nowMs);
    for (const output of node.swarm.drain()) this.#perform(node, output);
    this.#wake(node);
  }

  /** The process dies: links break at once, as a reset does; `silent`: nobody notices by itself. */
  crash(node: TestNode, how: 'down' | 'silent' = 'down'): void {
    node.state = how;
    for (const members of this.#members.values()) members.delete(node);
    if (how === 'silent') return;
    for (const far of node.far.values()) this.#breakLink(far);
    node.far.clear();
  }

  /** The two ends of one link: the dialler first. */
  links(): [TestNode, TestNode][] {
    const pairs: [TestNode, TestNode][] = [];
    for (const node of this.nodes) {
      if (node.state !== 'up') continue;
      for (const [no, far] of node.far) if ((no & 1) === 0 && far.node.state === 'up') pairs.push([node, far.node]);
    }
    return pairs;
  }

  /** Sends a message as if `node` had. */
  forge(node: TestNode, link: LinkNo, message: Message): void {
    this.#perform(node, { kind: 'send', link, message });
  }

  /** The tracker hands it out from now on. */
  join(node: TestNode, blob: number): void {
    const members = this.#members.get(blob) ?? new Set();
    this.#members.set(blob, members.add(node));
  }

  #wake(node: TestNode): void {
    const at = node.swarm.deadlineMs;
    if (at >= node.wakeAtMs || at === Infinity) return;
    node.wakeAtMs = at;
    this.at(Math.max(at, this.nowMs), () => {
      if (node.wakeAtMs !== at) return;
      node.wakeAtMs = Infinity;
      if (node.state === 'up') this.input(node, { kind: 'tick' });
    });
  }

  #perform(node: TestNode, output: Output): void {
    switch (output.kind) {
      case 'dial':
        return this.#dial(node, output.link, output.peer);
      case 'send':
        return this.#send(node, output.link, output.message);
      case 'close':
        return this.#close(node, output.link, output.whose === 'fault' ? output.why : '');
      case 'feed':
        return this.#feed(node, output);
      case 'unfeed':
        return this.#unfeed(node, output.link, output.grant);
      case 'verify':
        return this.#verify(node, output);
      case 'release':
        return this.#freeSlot(node, output.slot);
      case 'seek':
        return this.#seek(node, output.blob);
      case 'complete':
        return void node.completeMs.set(output.blob, this.nowMs);
      case 'learned':
        return void node.learned.set(output.blob, output.hashes.length / hashBytes);
      case 'refresh':
        return void node.refresh(output.blob);
      case 'odds':
        return void node.odds.push(output.blob);
      case 'revoked':
        return void node.revoked.push(output.blob);
    }
  }

  #dial(node: TestNode, link: LinkNo, peer: PeerAddress): void {
    const { latencyMs } = this.#options;
    const other = this.#byName.get(peer.node);
    if (other?.state === 'silent') return;
    this.at(this.nowMs + 2 * latencyMs, () => {
      if (other === undefined || other.state !== 'up' || node.state !== 'up') {
        return this.input(node, { kind: 'closed', link, why: 'refused' });
      }
      const accepted = other.nextAccepted;
      other.nextAccepted += 2;
      node.far.set(link, { node: other, link: accepted });
      other.far.set(accepted, { node, link });
      this.input(node, { kind: 'connected', link, dialled: true });
      this.input(other, { kind: 'connected', link: accepted, dialled: false });
    });
  }

  #send(node: TestNode, link: LinkNo, message: Message): void {
    const far = node.far.get(link);
    if (far === undefined || message.kind === 'piece') return;
    this.messages.set(message.kind, (this.messages.get(message.kind) ?? 0) + 1);
    this.onMessage?.(node, far.node, message);
    this.at(this.nowMs + this.#options.latencyMs, () => {
      if (far.node.state === 'up' && far.node.far.has(far.link)) {
        this.input(far.node, { kind: 'message', link: far.link, message });
      }
    });
  }

  #close(node: TestNode, link: LinkNo, fault: string): void {
    if (fault !== '') node.faults.push(fault);
    const far = node.far.get(link);
    node.far.delete(link);
    if (far === undefined) return;
    this.#breakLink(far);
  }

  #breakLink(far: Far): void {
    this.at(this.nowMs + this.#options.latencyMs, () => {
      if (far.node.far.delete(far.link)) this.input(far.node, { kind: 'closed', link: far.link, why: 'reset' });
    });
  }

  #feed(node: TestNode, feed: Feed): void {
    node.queue.push(feed);
    if (node.sendingSince < 0) this.#sendNext(node);
  }

  #unfeed(node: TestNode, link: LinkNo, grant: number): void {
    const at = node.queue.findIndex(
      (feed, i) => feed.link === link && feed.grant === grant && (i > 0 || node.sendingSince < 0),
    );
    if (at < 0) return;
    const [feed] = node.queue.splice(at, 1);
    this.#send(node, link, { kind: 'missing', grant, swarm: feed!.swarm, piece: feed!.piece });
  }

  /** The uplink sends one piece after the other. */
  #sendNext(node: TestNode): void {
    const feed = node.queue[0];
    node.sendingSince = feed === undefined ? -1 : this.nowMs;
    if (feed === undefined) return;
    const { link, swarm, piece, length } = feed;
    const far = node.far.get(link);
    const tookMs = far === undefined ? 0 : (length / node.uplinkBytesPerS) * 1000;
    const { latencyMs } = this.#options;
    if (far !== undefined) {
      node.sent[piece] = (node.sent[piece] ?? 0) + 1;
      this.at(this.nowMs + latencyMs, () => {
        if (!far.node.far.has(far.link) || far.node.state !== 'up') return;
        const { swarm: at, self } = far.node;
        // Sent before it heard that the puller closed the swarm: skipped, as over sockets.
        const skipped = at.blobOf(far.link, swarm) < 0;
        assert(skipped || at.expects(far.link, swarm, piece) === length, `${self.node} did not expect piece ${piece}`);
      });
      this.at(this.nowMs + tookMs + latencyMs, () => {
        if (node.state !== 'up' || far.node.state !== 'up' || !far.node.far.has(far.link)) return;
        const slot = far.node.nextSlot;
        far.node.nextSlot += 1;
        far.node.slots.set(slot, node.corrupts);
        this.input(far.node, { kind: 'arrived', link: far.link, swarm, piece, slot });
      });
    }
    this.at(this.nowMs + tookMs, () => {
      node.queue.shift();
      this.#sendNext(node);
    });
  }

  #verify(node: TestNode, { blob, piece, link, slot }: Extract<Output, { kind: 'verify' }>): void {
    assert(piece < (node.learned.get(blob) ?? 0), 'verify before learned');
    const corrupt = node.slots.get(slot);
    this.#freeSlot(node, slot);
    this.at(this.nowMs + 0.2, () => {
      const verdict = corrupt === true ? 'corrupt' : (this.verdict?.(node, piece) ?? 'held');
      if (verdict === 'held') node.heldMs[piece] = this.nowMs;
      this.input(node, { kind: 'verified', blob, piece, link, verdict });
    });
  }

  #freeSlot(node: TestNode, slot: number): void {
    assert(node.slots.delete(slot), 'slot freed twice');
  }

  #seek(node: TestNode, blob: number): void {
    node.seeks += 1;
    this.at(this.nowMs + 2, () => {
      if (!this.trackerUp) return;
      const pool = [...(this.#members.get(blob) ?? [])].filter((other) => other !== node);
      const peers: PeerAddress[] = [];
      while (peers.length < this.#options.handout && pool.length > 0) {
        peers.push(pool.splice(this.prng.below(pool.length), 1)[0]!.self);
      }
      this.input(node, { kind: 'candidates', blob, peers, meta: this.meta.get(blob) });
    });
  }
}

export type TestBlob = {
  readonly no: number;
  readonly digest: Digest;
  readonly meta: Metainfo;
  readonly hashes: Uint8Array;
};

/** A blob of `pieces` pieces of 256 KiB, the last one short; its hash list is made up and its root fits it. */
export function testBlob(no: number, pieces: number, pieceLength = 256 * 1024): TestBlob {
  const hashes = new Uint8Array(pieces * 32);
  for (let i = 0; i < hashes.length; i += 1) hashes[i] = (i * 31 + no * 7 + (i >> 8)) & 255;
  const length = pieces === 0 ? 0 : pieces * pieceLength - 1000;
  const digest = `sha256:${no.toString(16).padStart(64, '0')}` as Digest;
  return { no, digest, meta: { length, pieceLength, root: testRoot(hashes) }, hashes };
}

/** FNV-1a in place of BLAKE3: tells lists apart, which is all that a test needs. */
export function testRoot(hashes: Uint8Array): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < hashes.length; i += 1) hash = Math.imul(hash ^ hashes[i]!, 0x01000193);
  return (hash >>> 0).toString(16).padStart(64, '0');
}
