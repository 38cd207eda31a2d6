/**
 * The tracker's state: which nodes want or hold which blobs, and whom to hand to whom.
 *
 * Contract: `handle(input, nowMs)`, then `drain()` once; `deadlineMs` is when a `tick` is due.
 * Rule 1: an announce costs the same at a thousand and at a million leases: O(entries + peers handed out).
 * Rule 2: nobody is handed to itself, nobody twice in one answer, never more than asked for.
 * Rule 3: a node's leases live as long as it announces anything; a new identity is a new node.
 * Rule 4: what an answer lacks (no origin was asked yet) is said in `cold`; the host asks the origins
 *   and comes back with `located` and `ask`. Nothing here waits.
 */

import { assert } from '../assert.ts';
import {
  type AnnounceAnswer,
  type AnnounceEntry,
  type AnnounceReply,
  type AnnounceRequest,
  handoutPeersMax,
} from '../contracts/tracker.ts';
import type { Digest } from '../digest.ts';
import type { Machine } from '../machine.ts';
import type { Growth, Metainfo } from '../piece.ts';
import { zoneOf } from '../place.ts';
import type { PeerAddress } from '../wire/messages.ts';
import { choose } from './choice.ts';
import { enterGroup, firstGroup, type Grouped, groupedSize, groupOf, isEmpty } from './groups.ts';
import { LEASE_STATE, type LeaseState, LeaseTable } from './leases.ts';
import { expiriesPerStepMax, originsPerSwarmMax } from './limits.ts';
import { NodeTable } from './nodes.ts';
import { Resyncs } from './resyncs.ts';
import { type Limit, leaseLimit, nodeLimit, type Taken } from './room.ts';
import type { Cold, HandoutConfig, HandoutDue, HandoutInput, HandoutOutput, Refused } from './types.ts';

type Swarm = Grouped & {
  readonly no: number;
  readonly digest: Digest;
  meta: Metainfo | undefined;
  /** Of a blob that an origin still receives; never beside `meta`. */
  growth: Growth | undefined;
  located: readonly PeerAddress[];
};

const none = -1;

export class Handout implements Machine<HandoutInput, HandoutOutput, HandoutDue> {
  readonly #config: HandoutConfig;
  readonly #nodes = new NodeTable();
  readonly #leases = new LeaseTable();
  readonly #byDigest = new Map<Digest, Swarm>();
  readonly #swarms: (Swarm | undefined)[] = [];
  readonly #freeSwarms: number[] = [];
  readonly #resyncs: Resyncs;
  #out: HandoutOutput[] = [];
  #nowMs = Number.NEGATIVE_INFINITY;
  #refused = 0;
  #handedOut = 0;
  /** What the request at hand was refused so far. */
  #kept: Refused | undefined = undefined;

  constructor(config: HandoutConfig) {
    assert(config.intervalMs < config.leaseMs, 'handout: the interval must be below the lease');
    this.#config = config;
    this.#resyncs = new Resyncs(config.intervalMs);
  }

  get deadlineMs(): number {
    return this.#nodes.expiresMs;
  }

  get due(): HandoutDue | undefined {
    return this.deadlineMs === Number.POSITIVE_INFINITY ? undefined : 'leases';
  }

  /** `refused`: leases that a limit kept out; `handedOut`: peers given; both since the start. */
  get stats(): Taken & { clients: number; refused: number; handedOut: number } {
    return { ...this.#taken, clients: this.#nodes.clients, refused: this.#refused, handedOut: this.#handedOut };
  }

  get #taken(): Taken {
    return { nodes: this.#nodes.size, leases: this.#leases.count, swarms: this.#byDigest.size };
  }

  handle(input: HandoutInput, nowMs: number): void {
    assert(nowMs >= this.#nowMs, 'handout: time ran backwards');
    this.#nowMs = nowMs;
    this.#expire();
    switch (input.kind) {
      case 'announce':
        this.#announce(input.request, input.client);
        break;
      case 'leave':
        this.#forget(this.#nodes.find(input.node), Number.POSITIVE_INFINITY);
        break;
      case 'located':
        this.#located(input.digest, input.meta, input.origins);
        break;
      case 'grows':
        this.#grows(input.digest, input.growth, input.origins);
        break;
      case 'ask':
        this.#out.push({ kind: 'answer', answer: this.#ask(input, this.#nodes.find(input.node)) });
        break;
      case 'tick':
        break;
    }
    assert(this.#leases.count <= this.#config.limits.leases, 'handout: too many leases');
    assert(this.#byDigest.size <= this.#leases.count, 'handout: a swarm without a lease');
  }

  drain(): HandoutOutput[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  /** Metainfo that is known of a blob that somebody takes part in. */
  metaOf(digest: Digest): Metainfo | undefined {
    return this.#byDigest.get(digest)?.meta;
  }

  /** What is known of a blob that grows and that somebody takes part in. */
  growthOf(digest: Digest): Growth | undefined {
    return this.#byDigest.get(digest)?.growth;
  }

  /** Whether a node other than `node` announced that it holds the blob whole. */
  heldBeside(digest: Digest, node: string): boolean {
    const swarm = this.#byDigest.get(digest);
    if (swarm === undefined) return false;
    const own = this.#nodes.find(node);
    const lease = own === none ? none : this.#leases.find(swarm.no, own);
    const mine = lease !== none && this.#leases.state(lease) !== LEASE_STATE.want ? 1 : 0;
    return groupedSize(swarm, LEASE_STATE.have) + groupedSize(swarm, LEASE_STATE.origin) > mine;
  }

  /** How many leases the node has; -1 where it is not known. */
  heldBy(id: string): number {
    const node = this.#nodes.find(id);
    return node === none ? none : this.#nodes.leases(node);
  }

  /** What the node takes part in, as it would announce it. */
  leasesOf(id: string): AnnounceEntry[] {
    return Array.from(this.#leases.of(this.#nodes.find(id)), (lease) => {
      const { digest } = this.#swarms[this.#leases.swarm(lease)] as Swarm;
      return { digest, state: this.#leases.state(lease) === LEASE_STATE.want ? 'want' : 'have', seek: 0 };
    });
  }

  #announce(request: AnnounceRequest, client: string | undefined): void {
    this.#kept = undefined;
    const node = this.#admit(request.self, client ?? request.self.node);
    if (request.reset === true) this.#dropLeases(node, Number.POSITIVE_INFINITY);
    const answers: AnnounceAnswer[] = [];
    const cold: Cold[] = [];
    const growing: Digest[] = [];
    for (const entry of request.entries) {
      const swarm = this.#apply(node, entry, request.self.role);
      const { seek, known } = entry;
      if ((seek === 0 && known === undefined) || entry.state === 'gone') continue;
      // Ours: whoever looks it up meets the same string, and need not read another from memory that no cache holds.
      const digest = swarm?.digest ?? entry.digest;
      const grows = known !== undefined && swarm?.growth !== undefined;
      if (grows) growing.push(digest);
      if (!grows && swarm?.meta === undefined)
        cold.push(known === undefined ? { digest, seek } : { digest, seek, known });
      else if (seek > 0 || swarm?.growth === undefined || swarm.growth.known > (known ?? 0))
        answers.push(this.#ask({ digest, seek, known }, node, swarm));
    }
    const { leaseMs, intervalMs } = this.#config;
    const held = node === none ? 0 : this.#nodes.leases(node);
    const believed = request.held ?? held;
    const resync = this.#differs(node, believed - held);
    const told = { leaseMs, intervalMs, answers };
    const reply: AnnounceReply = resync ? { ...told, resync, ...this.#resyncs.turn(believed, this.#nowMs) } : told;
    this.#out.push({ kind: 'reply', reply, cold, growing, refused: this.#kept });
  }

  /** The node believes to have so many leases `more` than it has: at a limit, it would not help to announce them again. */
  #differs(node: number, more: number): boolean {
    return node !== none && (more < 0 || (more > 0 && this.#limit(node, true) === undefined));
  }

  /** What keeps the node from one more lease. */
  #limit(node: number, opens: boolean): Limit | undefined {
    return leaseLimit(this.#config.limits, this.#taken, { client: this.#nodes.client(node), opens });
  }

  /** The node's number, renewed; -1 where there are too many nodes. */
  #admit(self: PeerAddress, name: string): number {
    const expiresMs = this.#nowMs + this.#config.leaseMs;
    const node = this.#nodes.find(self.node);
    const client = this.#nodes.clientOf(name);
    if (node !== none) {
      // Its leases lie with those of the zone that it was in; it announces them again.
      if (this.#zone(node) !== zoneOf(self.zone)) this.#dropLeases(node, Number.POSITIVE_INFINITY);
      this.#nodes.renew(node, self, expiresMs);
      this.#nodes.move(node, client);
      return node;
    }
    const limit = nodeLimit(this.#config.limits, this.#taken, client);
    if (limit === undefined) return this.#nodes.add(self, expiresMs, client);
    this.#refuse(limit, 0);
    return none;
  }

  #refuse(limit: Limit, leases: number): void {
    this.#refused += leases;
    this.#kept = { limit: this.#kept?.limit ?? limit, leases: (this.#kept?.leases ?? 0) + leases };
  }

  /** The swarm of the entry's blob afterwards, unless the entry ends it. */
  #apply(node: number, entry: AnnounceEntry, role: PeerAddress['role']): Swarm | undefined {
    const swarm = this.#byDigest.get(entry.digest);
    if (entry.state === 'gone') {
      const lease = swarm === undefined || node === none ? none : this.#leases.find(swarm.no, node);
      if (lease !== none) this.#end(lease);
      return undefined;
    }
    const state = entry.state === 'want' ? LEASE_STATE.want : role === 'origin' ? LEASE_STATE.origin : LEASE_STATE.have;
    const joined = this.#join(swarm, entry.digest, node, state);
    if (joined === undefined || role !== 'origin' || entry.meta === undefined) return joined;
    joined.meta = entry.meta;
    joined.growth = undefined;
    return joined;
  }

  /** Makes or changes the lease. The swarm, or undefined where a limit keeps a new lease out. */
  #join(known: Swarm | undefined, digest: Digest, node: number, state: LeaseState): Swarm | undefined {
    const lease = known === undefined || node === none ? none : this.#leases.find(known.no, node);
    if (known !== undefined && lease !== none) {
      this.#change(known, lease, state);
      return known;
    }
    const limit = node === none ? 'nodes' : this.#limit(node, known === undefined);
    if (limit !== undefined) {
      this.#refuse(limit, 1);
      return known;
    }
    const swarm = known ?? this.#open(digest, this.#zone(node));
    this.#leases.add(swarm.no, node, state);
    enterGroup(swarm, this.#zone(node), { node, state });
    this.#nodes.addLeases(node, 1);
    return swarm;
  }

  #change(swarm: Swarm, lease: number, state: LeaseState): void {
    const was = this.#leases.state(lease);
    if (was === state) return;
    const node = this.#leases.node(lease);
    groupOf(swarm, this.#zone(node)).members[was].remove(node);
    this.#leases.change(lease, state);
    enterGroup(swarm, this.#zone(node), { node, state });
  }

  #zone(node: number): string {
    return zoneOf(this.#nodes.address(node).zone);
  }

  #open(digest: Digest, zone: string): Swarm {
    const no = this.#freeSwarms.pop() ?? this.#swarms.length;
    const swarm: Swarm = {
      no,
      digest,
      meta: undefined,
      growth: undefined,
      located: [],
      ...firstGroup(zone),
    };
    this.#swarms[no] = swarm;
    this.#byDigest.set(digest, swarm);
    return swarm;
  }

  #end(lease: number): void {
    const swarm = this.#swarms[this.#leases.swarm(lease)] as Swarm;
    const node = this.#leases.node(lease);
    groupOf(swarm, this.#zone(node)).members[this.#leases.state(lease)].remove(node);
    this.#nodes.addLeases(node, -1);
    this.#leases.remove(lease);
    if (!isEmpty(swarm)) return;
    this.#byDigest.delete(swarm.digest);
    this.#swarms[swarm.no] = undefined;
    this.#freeSwarms.push(swarm.no);
  }

  #located(digest: Digest, meta: Metainfo, origins: readonly PeerAddress[]): void {
    const swarm = this.#byDigest.get(digest);
    if (swarm === undefined) return;
    swarm.meta = meta;
    swarm.growth = undefined;
    swarm.located = origins.slice(0, originsPerSwarmMax);
  }

  #grows(digest: Digest, growth: Growth | undefined, origins: readonly PeerAddress[]): void {
    const swarm = this.#byDigest.get(digest);
    if (swarm === undefined || swarm.meta !== undefined) return;
    // Another origin that goes on may know less for a while.
    if (growth === undefined || growth.known >= (swarm.growth?.known ?? 0)) swarm.growth = growth;
    swarm.located = origins.slice(0, originsPerSwarmMax);
  }

  // ---- handing out ---------------------------------------------------------------------------

  #ask({ digest, seek, known }: Cold, node: number, swarm = this.#byDigest.get(digest)): AnnounceAnswer {
    if (swarm === undefined) return { digest, peers: [] };
    const peers = seek === 0 ? [] : this.#choose(swarm, node, seek);
    this.#handedOut += peers.length;
    if (known === undefined || swarm.growth === undefined) return { digest, peers, meta: swarm.meta };
    return { digest, peers, growth: swarm.growth };
  }

  #choose(swarm: Swarm, node: number, seek: number): PeerAddress[] {
    const members = { nodes: this.#nodes, leases: this.#leases, prng: this.#config.prng, nowMs: this.#nowMs };
    return choose(members, swarm, node, Math.min(seek, handoutPeersMax));
  }

  // ---- ends ----------------------------------------------------------------------------------

  #expire(): void {
    let budget = expiriesPerStepMax;
    while (budget > 0 && this.#nodes.expiresMs <= this.#nowMs) {
      const node = this.#nodes.oldest();
      const leases = this.#nodes.leases(node);
      this.#forget(node, budget);
      budget -= leases + 1;
    }
  }

  /** Ends up to `most` of the node's leases, and the node where none is left. */
  #forget(node: number, most: number): void {
    if (node === none) return;
    this.#dropLeases(node, most);
    if (this.#nodes.leases(node) === 0) this.#nodes.remove(node);
  }

  #dropLeases(node: number, most: number): void {
    if (node === none) return;
    for (let dropped = 0; dropped < most; dropped++) {
      const lease = this.#leases.firstOf(node);
      if (lease === none) return;
      this.#end(lease);
    }
  }
}
