/**
 * One honest node's peer: what platform/peer/node.ts is over sockets, on the run's network. The swarm,
 * the platform's Driver, Blobs, Feeds and Inflow, and the announcer run unmodified.
 * What it does is judged on the way (judge.ts).
 */

import { PeerFault } from '../../core/assert.ts';
import type { Digest } from '../../core/digest.ts';
import { prng } from '../../core/prng.ts';
import { Swarm } from '../../core/swarm/swarm.ts';
import type { Input, LinkNo, Output } from '../../core/swarm/types.ts';
import type { PeerAddress, Piece } from '../../core/wire/messages.ts';
import { alarmOf, Driver } from '../../platform/drive/driver.ts';
import { realClock } from '../../platform/net/clock.ts';
import { Bans } from '../../platform/peer/bans.ts';
import { Feeds } from '../../platform/peer/feeds.ts';
import { acceptedMax, learnMsDefault, stallMsDefault } from '../../platform/peer/limits.ts';
import { peerMetrics } from '../../platform/peer/metrics.ts';
import { Blobs, type PullFrom } from '../../platform/peer/pulls/blobs.ts';
import type { Pull } from '../../platform/peer/pulls/task.ts';
import type { BlobStore } from '../../platform/store/store.ts';
import { type Logger, silentLog } from '../../platform/telemetry/log.ts';
import { Metrics } from '../../platform/telemetry/metrics.ts';
import type { Arena } from '../../platform/workers/arena.ts';
import { blake3Hex } from '../../platform/workers/hash.ts';
import type { Announcing } from './announcing.ts';
import type { Conn, ConnSide } from './conn.ts';
import type { Content } from './content.ts';
import { Judge } from './judge.ts';
import type { LightStore } from './light-store.ts';
import { type Heard, Link, type LinkHost } from './link.ts';
import { type Cluster, dial, type Listener } from './net.ts';
import type { Process, World } from './world.ts';

export const log: Logger = silentLog();
const metrics = peerMetrics(new Metrics());
const sweepEveryMs = 500;

export type PeerOptions = {
  readonly cluster: Cluster;
  readonly process: Process;
  readonly self: PeerAddress;
  readonly store: BlobStore;
  /** The store of a light node, which is `store`. */
  readonly light: LightStore | undefined;
  /** Whether that piece lies on the disk as it should. */
  readonly stored: (content: Content, piece: number) => boolean;
  readonly arena: Arena;
  readonly announcing: Announcing;
  readonly uplinkBytesPerS: number;
  /** This node's clock, which may be off. */
  readonly nowMs: () => number;
};

export class Peer implements Listener {
  readonly self: PeerAddress;
  readonly process: Process;
  readonly swarm: Swarm;
  readonly blobs: Blobs;
  readonly judge: Judge;
  readonly #o: PeerOptions;
  readonly #world: World;
  readonly #driver: Driver<Swarm>;
  readonly #feeds: Feeds<Link>;
  readonly #bans = new Bans();
  readonly #links = new Map<LinkNo, Link>();
  readonly #linkHost: LinkHost;
  #nextAccepted = 1;

  constructor(o: PeerOptions) {
    this.#o = o;
    this.self = o.self;
    this.process = o.process;
    this.#world = o.cluster.world;
    const { policy, world } = o.cluster;
    this.swarm = new Swarm({
      self: o.self,
      cluster: 'fuzz',
      prng: prng(world.prng.below(2 ** 31)),
      rootOf: blake3Hex,
      uplinkBytesPerS: o.uplinkBytesPerS,
      windowBytes: o.arena.shareBytes('receive'),
      policy,
    });
    this.#driver = new Driver({
      machine: this.swarm,
      alarm: alarmOf({ ...realClock, nowMs: o.nowMs }),
      perform: (output) => this.#perform(output),
      woken: (due) => world.debug(`h${this.host} wakes for ${due}`),
    });
    this.blobs = new Blobs({
      nowMs: o.nowMs,
      input: (input) => this.#input(input),
      statsOf: (blob) => this.swarm.stats(blob),
      store: o.store,
      arena: o.arena,
      tracking: o.announcing,
      log,
      metrics,
      serves: (digest) => o.store.get(digest),
      neighbours: policy.neighboursPerBlobMax,
      stallMs: stallMsDefault,
      learnMs: learnMsDefault,
    });
    this.judge = new Judge({ ...o, name: o.self.host }, this.swarm, this.blobs);
    this.#feeds = this.#makeFeeds();
    this.#linkHost = this.#makeLinkHost();
    o.store.onEvict = (digest) => this.drop(digest);
    o.announcing.onAnswer = (answer) => this.blobs.answer(answer);
    o.announcing.join(o.self);
    o.cluster.listeners.set(`${o.self.host}:${o.self.port}`, this);
    world.after(sweepEveryMs * world.prng.unit(), () => this.#sweep());
  }

  get host(): number {
    return this.process.host;
  }

  get links(): readonly Link[] {
    return [...this.#links.values()];
  }

  /** Blobs to announce, those that trackers acknowledged, trackers that did not answer last. */
  get announced(): Announcing['stats'] {
    return this.#o.announcing.stats;
  }

  // ---- as PeerNode ------------------------------------------------------------------------------

  pull(digest: Digest, from: PullFrom = {}): Pull {
    this.#world.dirty = true;
    return this.blobs.pull(digest, from);
  }

  seed(entry: Parameters<Blobs['seed']>[0]): void {
    this.blobs.seed(entry);
  }

  arrived(entry: Parameters<Blobs['arrived']>[0]): void {
    this.blobs.arrived(entry);
  }

  stop(digest: Digest): void {
    this.blobs.stop(digest);
  }

  drop(digest: Digest): void {
    this.blobs.drop(digest);
  }

  receives(digest: Digest): boolean {
    return this.blobs.receives(digest);
  }

  lost(digest: Digest, piece: number): void {
    this.blobs.lost(digest, piece);
  }

  /** The process ends. `power`: without its system closing its connections. */
  end(power: boolean): void {
    this.#driver.end();
    for (const link of this.links) {
      if (power) link.vanish();
      else link.destroy();
    }
    this.#o.announcing.end();
    const { listeners } = this.#o.cluster;
    const key = `${this.self.host}:${this.self.port}`;
    if (listeners.get(key) === this) listeners.delete(key);
  }

  /** Ends in order; resolves when everything has been told and waited for. */
  async leave(): Promise<void> {
    await this.blobs.close();
    this.#driver.end();
    for (const link of this.links) {
      link.send({ kind: 'goodbye', reason: 'shutdown' });
      link.close();
    }
    await this.#feeds.close();
    await this.#o.announcing.leave();
  }

  // ---- Listener --------------------------------------------------------------------------------

  accept(dialler: ConnSide, make: (acceptor: ConnSide) => Conn): boolean {
    if ([...this.#links.values()].filter((link) => !link.dialled).length >= acceptedMax) return false;
    const link = new Link(this.#nextAccepted, `h${dialler.host}:1`, this.#linkHost, false);
    this.#nextAccepted += 2;
    link.conn = make(link);
    this.#links.set(link.no, link);
    this.#input({ kind: 'connected', link: link.no, dialled: false });
    return true;
  }

  // ---- the swarm -------------------------------------------------------------------------------

  #input(input: Input): void {
    if (!this.process.alive) return;
    if (input.kind === 'verified') this.judge.verdict(input);
    this.#world.inputs++;
    this.#driver.input(input);
    this.judge.tables();
  }

  #perform(output: Output): void {
    switch (output.kind) {
      case 'dial':
        return this.#dial(output.link, output.peer);
      case 'send':
        return this.#links.get(output.link)?.send(output.message);
      case 'close':
        return this.#close(output);
      case 'feed':
        return this.#feed(output);
      case 'unfeed': {
        const link = this.#links.get(output.link);
        if (link !== undefined) this.#feeds.cancel(link, output.grant);
        return;
      }
      case 'verify': {
        this.#world.dirty = true;
        this.judge.verifies(output);
        return this.blobs.verify(output, this.#links.get(output.link)?.peer?.role ?? 'unknown');
      }
      case 'release': {
        const slot = this.#o.arena.slot(output.slot);
        this.#o.light?.unmark(slot);
        return slot.release();
      }
      case 'learned':
        this.#world.dirty = true;
        return this.blobs.learned(output);
      case 'complete':
        this.#world.dirty = true;
        return this.blobs.complete(output);
      case 'seek':
        return this.blobs.seek(output);
      case 'revoked':
        this.#world.dirty = true;
        return this.blobs.revoked(output);
    }
  }

  #dial(no: LinkNo, peer: PeerAddress): void {
    const nowMs = this.#o.nowMs();
    if (this.#bans.has(peer.node, nowMs) || this.#bans.has(`${peer.host}:${peer.port}`, nowMs)) {
      return this.#input({ kind: 'closed', link: no, why: 'banned' });
    }
    const link = new Link(no, `${peer.host}:${peer.port}`, this.#linkHost, true);
    this.#links.set(no, link);
    dial(this.#o.cluster, link, peer, {
      made: (conn) => {
        link.conn = conn;
        link.connected();
      },
      refused: () => link.lost('connection refused'),
      wanted: () => link.state === 'connecting' && this.process.alive,
    });
  }

  #close({ link: no, why, whose }: Extract<Output, { kind: 'close' }>): void {
    const link = this.#links.get(no);
    if (link === undefined) return;
    if (whose === 'fault') this.#blame(link, why);
    this.#feeds.drop(link);
    link.close();
  }

  #feed(output: Extract<Output, { kind: 'feed' }>): void {
    const link = this.#links.get(output.link);
    if (link === undefined) return;
    this.#world.dirty = true;
    this.judge.feeds(link, output);
    this.#feeds.add({ ...output, link });
  }

  // ---- links -----------------------------------------------------------------------------------

  #makeLinkHost(): LinkHost {
    const { arena } = this.#o;
    return {
      host: this.host,
      world: this.#world,
      real: this.#o.light === undefined,
      connected: (link) => this.#input({ kind: 'connected', link: link.no, dialled: true }),
      closed: (link, why) => this.#input({ kind: 'closed', link: link.no, why }),
      fault: (link, reason) => {
        this.#blame(link, reason);
        this.#input({ kind: 'closed', link: link.no, why: reason });
      },
      gone: (link) => {
        this.#links.delete(link.no);
        this.#feeds.drop(link);
      },
      message: (link, message) => this.#heard(link, message),
      wants: (link, piece) => this.#wants(link, piece),
      tryAcquire: (bytes) => arena.tryAcquire('receive', bytes),
      acquire: (bytes, signal) => arena.acquire('receive', bytes, signal),
      progress: (link, { swarm }) => this.blobs.progress(this.swarm.blobOf(link.no, swarm)),
      arrived: (link, { swarm, piece }, { slot, whole }) => {
        this.judge.arrived(this.swarm.blobOf(link.no, swarm), piece, { slot, whole });
        this.#input({ kind: 'arrived', link: link.no, swarm, piece, slot: slot.no });
      },
      contentOf: (link, piece) => this.judge.leaves(link, piece),
    };
  }

  #heard(link: Link, message: Heard): void {
    if (message.kind === 'hello' && this.#bans.has(message.self.node, this.#o.nowMs())) {
      link.send({ kind: 'goodbye', reason: 'banned' });
      link.close();
      return this.#input({ kind: 'closed', link: link.no, why: 'banned' });
    }
    if (message.kind === 'open') this.blobs.wanted(message.digest);
    this.#input({ kind: 'message', link: link.no, message });
  }

  #wants(link: Link, { swarm, piece, length }: Piece): 'take' | 'skip' {
    const expected = this.swarm.expects(link.no, swarm, piece);
    if (expected === length) return 'take';
    if (expected < 0 && this.swarm.blobOf(link.no, swarm) < 0) return 'skip';
    throw new PeerFault(expected < 0 ? 'piece: not asked for' : 'piece: wrong length');
  }

  #makeFeeds(): Feeds<Link> {
    return new Feeds<Link>({
      arena: this.#o.arena,
      lend: (feed) => this.blobs.entryOf(feed.blob)?.lend(feed.piece, 'send'),
      // Not as node.ts, which trusts for a while what was right: this disk cannot tell that it was not written to.
      read: async (feed, slot) => {
        const entry = this.blobs.entryOf(feed.blob);
        return entry === undefined ? 'gone' : await entry.read(feed.piece, slot);
      },
      unreadable: (feed) => this.blobs.lostNo(feed.blob, feed.piece),
      sent: () => undefined,
      noMemory: (feed, error) =>
        this.#world.violate('memory', `no memory to send ${feed.length} bytes from: ${String(error)}`),
    });
  }

  #sweep(): void {
    if (!this.process.alive) return;
    for (const link of this.links) link.sweep(this.#world.nowMs);
    this.blobs.sweep(this.#o.nowMs());
    this.#world.after(sweepEveryMs, () => this.#sweep());
  }

  #blame(link: Link, reason: string): void {
    const { conn } = link;
    this.#bans.add(link.peer?.node ?? (link.dialled ? link.remote : `h${conn?.sides[0].host}`), this.#o.nowMs());
    this.judge.blames(link, reason);
  }
}
