/**
 * One peer: a swarm driven over a net, a store and memory. No globals: several run in one process.
 *
 *   connections -> PeerLink -> Driver -> core/swarm -> outputs -> PeerLinks, Feeds (pieces out), Blobs (pieces in)
 *
 * Rule 1: the swarm decides; this file carries out, and hands back what came of it as an input.
 * Rule 2: whatever a peer sends ends at most its own connection.
 */

import { randomInt } from 'node:crypto';
import { PeerFault } from '../../core/assert.ts';
import type { ApiError } from '../../core/contracts/errors.ts';
import type { Digest } from '../../core/digest.ts';
import { prng } from '../../core/prng.ts';
import { defaultPolicy } from '../../core/swarm/policy.ts';
import { Swarm } from '../../core/swarm/swarm.ts';
import type { BlobStats, LinkNo, Output } from '../../core/swarm/types.ts';
import type { PeerAddress, Piece } from '../../core/wire/messages.ts';
import { alarmOf, Driver } from '../drive/driver.ts';
import type { Clock } from '../net/clock.ts';
import type { Incoming, Listener } from '../net/net.ts';
import type { GrowingEntry } from '../store/growing/entry.ts';
import type { BlobEntry } from '../store/pieces/entry.ts';
import { blake3Hex } from '../workers/hash.ts';
import { Guard } from './bans.ts';
import { Feeds } from './feeds.ts';
import { feedingMs, goodbyeMs, learnMsDefault, patience, stallMsDefault, sweepMs } from './limits.ts';
import { type Heard, type LinkHost, PeerLink } from './links/link.ts';
import type { Rates } from './links/rates.ts';
import {
  listenForPeers,
  type PeerNodeOptions,
  type PeerNodeStats,
  ratesOf,
  selfOf,
  uplinkOf,
  windowOf,
} from './listen.ts';
import { type PeerMetrics, peerMetrics } from './metrics.ts';
import { senderOf } from './pulls/arrivals.ts';
import { Blobs } from './pulls/blobs.ts';
import type { Pull, PullFrom } from './pulls/pull.ts';
import { lacking } from './pulls/repair.ts';

export type { PeerNodeOptions, PeerNodeStats } from './listen.ts';
export type { Pull, PullFrom } from './pulls/pull.ts';

export class PeerNode {
  readonly self: PeerAddress;
  readonly guard: Guard;
  readonly rates: Rates;
  readonly #options: PeerNodeOptions;
  readonly #listener: Listener;
  readonly #clock: Clock;
  readonly #swarm: Swarm;
  readonly #driver: Driver<Swarm>;
  readonly #blobs: Blobs;
  readonly #feeds: Feeds<PeerLink>;
  readonly #metrics: PeerMetrics;
  readonly #links = new Map<LinkNo, PeerLink>();
  readonly #linkHost: LinkHost;
  #sweeping: Disposable | undefined;
  /** Accepted links are odd. */
  #nextAccepted = 1;
  /** When a piece was last sent. */
  #sentMs = Number.NEGATIVE_INFINITY;

  private constructor(listener: Listener, o: PeerNodeOptions) {
    this.#listener = listener;
    this.#clock = o.clock;
    this.self = selfOf(o, listener.port);
    this.#options = o;
    this.#metrics = peerMetrics(o.metrics);
    const { arena, clock, log } = o;
    const policy = o.policy ?? defaultPolicy;
    this.guard = new Guard({ clock, log, metrics: this.#metrics, times: policy });
    this.rates = ratesOf(o);
    const nowMs = (): number => clock.nowMs();
    this.#swarm = new Swarm({
      self: this.self,
      cluster: o.cluster,
      prng: prng(randomInt(2 ** 31)),
      rootOf: blake3Hex,
      uplinkBytesPerS: uplinkOf(o),
      windowBytes: windowOf(o),
      policy,
    });
    this.#driver = new Driver({
      machine: this.#swarm,
      alarm: alarmOf(clock),
      perform: (output) => this.#perform(output),
      woken: (due) => this.#metrics.woken(due),
    });
    this.#blobs = new Blobs({
      nowMs,
      input: (input) => this.#driver.input(input),
      statsOf: (blob) => this.#swarm.stats(blob),
      store: o.store,
      arena,
      tracking: o.tracking,
      log: o.log,
      metrics: this.#metrics,
      serves: (digest) => (o.blocked?.has(digest) ? undefined : (o.serves ?? o.store.get.bind(o.store))(digest)),
      blocked: o.blocked,
      neighbours: policy.neighboursPerBlobMax,
      stallMs: o.stallMs ?? stallMsDefault,
      learnMs: o.learnMs ?? learnMsDefault,
      lingerMs: o.lingerMs,
      watcher: o.pulls,
    });
    this.#feeds = this.#makeFeeds();
    this.#linkHost = this.#makeLinkHost();
    this.#sweepLater();
  }

  /** Listens, joins the trackers. Throws StartError where the port is taken. */
  static async listen(o: PeerNodeOptions): Promise<PeerNode> {
    const held: { node?: PeerNode } = {};
    const listener = await listenForPeers(o, {
      accept: (incoming) => {
        const { node } = held;
        if (node === undefined) incoming.refuse();
        else node.#accept(incoming);
      },
      failed: ({ message }) => o.log.error({ error: message }, 'the peer port does not accept connections'),
    });
    const node = new PeerNode(listener, o);
    held.node = node;
    const revoked = (digest: Digest, why: ApiError): void => node.#blobs.revoke(digest, why);
    o.store.watch({ evicted: (digest) => node.drop(digest), revoked });
    o.tracking.join(node.self, (answer) => node.#blobs.answer(answer));
    return node;
  }

  /** Where peers dial us; not the port that we listen on, where `advertise` says otherwise. */
  get port(): number {
    return this.self.port;
  }

  /** The running pull of the blob, or a new one; a partial entry is resumed. */
  pull(digest: Digest, from: PullFrom = {}): Pull {
    return this.#blobs.pull(digest, from);
  }

  /** Pulls that somebody reads, or did just now. */
  running(): Pull[] {
    return this.#blobs.running();
  }

  /** A whole blob of the store: trackers are told, peers that ask are fed. */
  seed(blob: Pick<BlobEntry, 'digest' | 'meta'>): void {
    this.#blobs.seed(blob);
  }

  /** A blob that this process receives (store/growing): peers get what comes. The node follows it until it is whole, gone or revoked. */
  seedGrowing(entry: GrowingEntry): void {
    this.#blobs.receive(entry);
  }

  /** The blob came whole by another way, an upload: a pull of it ends well. Tells no tracker. */
  arrived(entry: BlobEntry): void {
    this.#blobs.arrived(entry);
  }

  /** Stops a pull that nobody wants any more; what it verified stays in the store. */
  stop(digest: Digest): void {
    this.#blobs.stop(digest);
  }

  /** The blob is about to be removed: no further part in it. */
  drop(digest: Digest): void {
    this.#blobs.drop(digest);
  }

  /** A piece that the store claimed is missing or wrong: it is pulled again. */
  lost(digest: Digest, piece: number): void {
    this.#blobs.lost(digest, piece);
  }

  /** Pulls again what the entry of a once whole blob does not hold any more; resolves when it is whole. */
  async mend(entry: BlobEntry): Promise<void> {
    for (const piece of lacking(entry)) this.lost(entry.digest, piece);
    await this.pull(entry.digest).complete;
  }

  /** Whether bytes of the blob came just now: what lacks of it is on its way. */
  receives(digest: Digest): boolean {
    return this.#blobs.receives(digest);
  }

  stats(): PeerNodeStats {
    const links = [...this.#links.values()];
    const dialled = links.filter((link) => link.dialled).length;
    return {
      links: { dialled, accepted: links.length - dialled },
      blobs: this.#blobs.size,
      peers: links.flatMap((l) => (l.peer === undefined ? [] : [{ address: l.peer, dialled: l.dialled }])),
    };
  }

  /** Peers that pieces go to now; 0: none was sent for a second. */
  get feeding(): number {
    return this.#clock.nowMs() - this.#sentMs < feedingMs ? this.stats().links.accepted : 0;
  }

  /** What the swarm knows of a blob, or undefined where it takes no part in it. */
  statsOf(digest: Digest): BlobStats | undefined {
    const no = this.#blobs.noOf(digest);
    return no === undefined ? undefined : this.#swarm.stats(no);
  }

  /** Says goodbye, gives up what is under way, waits for what workers have begun. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#sweeping?.[Symbol.dispose]();
    this.#sweeping = undefined;
    const closed = this.#listener.close();
    await this.#blobs.close();
    this.#driver.end();
    for (const link of [...this.#links.values()]) {
      link.send({ kind: 'goodbye', reason: 'shutdown' });
      link.close();
    }
    await this.#feeds.close();
    await Promise.race([closed, new Promise<void>((resolve) => this.#clock.after(goodbyeMs, resolve))]);
    for (const link of [...this.#links.values()]) link.destroy();
    await closed;
  }

  // ---- outputs ---------------------------------------------------------------------------------

  #perform(output: Output): void {
    switch (output.kind) {
      case 'dial':
        return this.#dial(output.link, output.peer);
      case 'send':
        return this.#links.get(output.link)?.send(output.message);
      case 'close':
        return this.#close(output);
      case 'feed': {
        const link = this.#links.get(output.link);
        if (link !== undefined) this.#feeds.add({ ...output, link });
        return;
      }
      case 'unfeed': {
        const link = this.#links.get(output.link);
        if (link !== undefined) this.#feeds.cancel(link, output.grant);
        return;
      }
      case 'verify':
        return this.#blobs.verify(output, senderOf(this.self, this.#links.get(output.link)?.peer));
      case 'release': {
        const slot = this.#options.arena.slot(output.slot);
        this.#metrics.duplicate(slot.length);
        return slot.release();
      }
      case 'learned':
        return this.#blobs.learned(output);
      case 'complete':
        return this.#blobs.complete(output);
      case 'seek':
        return this.#blobs.seek(output);
      case 'revoked':
      case 'refresh':
      case 'odds':
        return this.#blobs.told(output);
    }
  }

  #dial(no: LinkNo, peer: PeerAddress): void {
    if (this.guard.bans(peer.node) || this.guard.bans(`${peer.host}:${peer.port}`)) {
      return this.#driver.input({ kind: 'closed', link: no, why: 'banned' });
    }
    this.#add(PeerLink.dial(no, peer, this.#linkHost));
  }

  #close({ link: no, why, whose }: Extract<Output, { kind: 'close' }>): void {
    const link = this.#links.get(no);
    if (link === undefined) return;
    if (whose === 'fault') this.guard.blame(link, why);
    else if (whose === 'slow') this.guard.giveUp(link, why);
    this.#feeds.drop(link);
    link.close();
  }

  // ---- links -----------------------------------------------------------------------------------

  #accept(incoming: Incoming): void {
    const refusal = this.guard.refusal(incoming, this.#links.values());
    if (refusal !== undefined) {
      this.#metrics.refused(refusal);
      return incoming.refuse();
    }
    const link = PeerLink.accept(this.#nextAccepted, incoming, this.#linkHost);
    this.#nextAccepted += 2;
    this.#add(link);
    this.#driver.input({ kind: 'connected', link: link.no, dialled: false });
  }

  #add(link: PeerLink): void {
    this.#links.set(link.no, link);
    this.#metrics.links(link.dialled, 1);
  }

  #heard(link: PeerLink, message: Heard): void {
    if (message.kind === 'hello' && this.guard.bansPeer(message.self.node, link)) {
      link.send({ kind: 'goodbye', reason: 'banned' });
      link.close();
      this.#metrics.refused('banned');
      return this.#driver.input({ kind: 'closed', link: link.no, why: 'banned' });
    }
    const reading = message.kind === 'open' ? this.#blobs.wanted(message.digest) : undefined;
    if (reading === undefined) this.#driver.input({ kind: 'message', link: link.no, message });
    else link.hold(reading, () => this.#driver.input({ kind: 'message', link: link.no, message }));
  }

  #wants(link: PeerLink, { swarm, piece, length }: Piece): 'take' | 'skip' {
    const expected = this.#swarm.expects(link.no, swarm, piece);
    if (expected === length) return 'take';
    // Sent before it heard that we closed the swarm.
    if (expected < 0 && this.#swarm.blobOf(link.no, swarm) < 0) return 'skip';
    throw new PeerFault(expected < 0 ? 'piece: not asked for' : 'piece: wrong length');
  }

  #makeLinkHost(): LinkHost {
    const { arena, clock, net, foreign } = this.#options;
    return {
      ...{ net, clock, foreign, limits: this.rates },
      patience: this.#options.patience ?? patience,
      connected: (link) => this.#driver.input({ kind: 'connected', link: link.no, dialled: true }),
      closed: (link, why) => {
        this.#options.log.debug({ remote: link.remote, node: link.peer?.node, why }, 'link closed');
        this.#driver.input({ kind: 'closed', link: link.no, why });
      },
      slow: (link, why) => {
        this.guard.giveUp(link, why);
        this.#driver.input({ kind: 'closed', link: link.no, why });
      },
      fault: (link, reason) => {
        this.guard.blame(link, reason);
        this.#driver.input({ kind: 'closed', link: link.no, why: reason });
      },
      gone: (link) => {
        if (this.#links.delete(link.no)) this.#metrics.links(link.dialled, -1);
        this.#feeds.drop(link);
        for (const entry of link.fedFrom) entry.doubt();
      },
      message: (link, message) => this.#heard(link, message),
      wants: (link, piece) => this.#wants(link, piece),
      tryAcquire: (bytes) => arena.tryAcquire('receive', bytes),
      acquire: (bytes, signal) => arena.acquire('receive', bytes, signal),
      progress: (link, { swarm }, bytes) => {
        this.#metrics.received(link.peer?.role ?? 'unknown', bytes);
        this.#blobs.progress(this.#swarm.blobOf(link.no, swarm));
      },
      arrived: (link, { swarm, piece }, slot) =>
        this.#driver.input({ kind: 'arrived', link: link.no, swarm, piece, slot: slot.no }),
      skipped: (bytes) => this.#metrics.skipped(bytes),
    };
  }

  #makeFeeds(): Feeds<PeerLink> {
    const { log, arena } = this.#options;
    return new Feeds<PeerLink>({
      arena,
      lend: (feed) => this.#blobs.entryOf(feed.blob)?.lend(feed.piece, 'send'),
      read: async (feed, slot) => {
        const entry = this.#blobs.entryOf(feed.blob);
        if (entry === undefined) return 'gone';
        feed.link.fedFrom.add(entry);
        const verdict = await entry.readForPeer(feed.piece, slot);
        // It passed through and is gone: that is no fault of the disk.
        return entry.window?.has(feed.piece) === false ? 'gone' : verdict;
      },
      unreadable: (feed) => {
        this.#metrics.unreadable();
        log.warn({ digest: this.#blobs.entryOf(feed.blob)?.digest, piece: feed.piece }, 'a piece cannot be read');
        this.#blobs.lostNo(feed.blob, feed.piece);
      },
      sent: (feed) => {
        this.#sentMs = this.#clock.nowMs();
        this.#metrics.sent(feed.link.peer?.role ?? 'unknown', feed.length);
      },
      noMemory: (feed, error) =>
        log.error({ bytes: feed.length, error: String(error) }, 'no memory to send a piece from'),
    });
  }

  #sweepLater(): void {
    this.#sweeping = this.#clock.after(sweepMs, () => {
      this.#sweepLater();
      this.#sweep();
    });
  }

  #sweep(): void {
    const nowMs = this.#clock.nowMs();
    for (const link of [...this.#links.values()]) link.sweep(nowMs);
    this.#blobs.sweep(nowMs);
  }
}
