/**
 * Peers that do not play by the rules. Each connection draws a temper (hostile-side.ts); whatever it does, an honest node
 * may lose that connection and nothing else.
 */

import type { PeerAddress } from '../../../core/wire/messages.ts';
import { TrackerSession } from '../../../platform/clients/tracker.ts';
import type { Incoming } from '../../../platform/net/net.ts';
import type { SimulatedHost } from '../../../platform/net/simulated.ts';
import type { Content } from '../content.ts';
import { Calls } from '../http/calls.ts';
import type { SiteOptions } from '../site.ts';
import { clockOf, type Process, type World } from '../world.ts';
import { HostileSide, TEMPERS } from './hostile-side.ts';
import { type Cluster, hostName } from './net.ts';
import { log } from './peer.ts';
import { type Known, nodeId, pick } from './random-message.ts';

const port = 1;
const connectionsMax = 12;

export class Hostile {
  readonly host: number;
  readonly process: Process;
  readonly world: World;
  readonly #cluster: Cluster;
  readonly #place: SimulatedHost;
  readonly #calls: Calls;
  readonly #tracking: TrackerSession;
  readonly #contents: readonly Content[];
  readonly #sides = new Set<HostileSide>();
  #self: PeerAddress;
  acts = 0;

  constructor(cluster: Cluster, contents: readonly Content[], o: SiteOptions) {
    this.#cluster = cluster;
    this.world = cluster.world;
    this.#contents = contents;
    this.host = o.host;
    this.#calls = new Calls(this.world, o.host);
    this.process = this.#calls.process;
    this.#self = o.address('agent');
    this.#place = cluster.net.place(hostName(o.host));
    cluster.hostile.add(o.host);
    this.#tracking = new TrackerSession({
      trackers: this.#calls.to([...o.trackers.keys()]),
      log,
      clock: clockOf(this.world, o.clock, this.process),
    });
    void this.#begin();
  }

  get self(): PeerAddress {
    return this.#self;
  }

  known(): Known {
    const peers = [...this.#cluster.peers.values()].map((one) => one.self);
    return { prng: this.world.prng, contents: this.#contents, peers };
  }

  /** It gives up, and so do its connections. */
  end(): void {
    if (!this.process.alive) return;
    this.#calls.end(false);
    void this.#tracking.leave();
    this.#cluster.peers.delete(this.host);
    this.#place.end();
    this.#sides.clear();
  }

  gone(side: HostileSide): void {
    this.#sides.delete(side);
  }

  async #begin(): Promise<void> {
    const { host } = this.#self;
    await this.#place.listen({ host, port }, { accept: (incoming) => this.#accept(incoming), failed: () => undefined });
    this.#cluster.peers.set(this.host, { process: this.process, self: this.#self, windowBytes: 0 });
    this.#tracking.join(this.#self, () => undefined);
    for (const content of this.#contents)
      if (this.world.once(2)) this.#tracking.set(content.digest, this.world.once(2) ? 'have' : 'want');
    this.#act();
  }

  #accept(incoming: Incoming): void {
    if (this.world.once(10)) return incoming.refuse();
    const side = this.#side(1);
    side.begin(incoming.take(side));
  }

  #side(no: 0 | 1): HostileSide {
    const side = new HostileSide(this, { no, temper: pick(this.world.prng, TEMPERS) });
    this.#sides.add(side);
    return side;
  }

  /** Dials somebody, says something, hangs up, takes another name. */
  #act(): void {
    if (!this.process.alive) return;
    this.acts++;
    const { world } = this;
    const draw = world.prng.below(10);
    if (draw < 3 && this.#sides.size < connectionsMax) this.#dial();
    else if (draw === 3) this.#self = { ...this.#self, node: nodeId(world.prng) };
    else if (draw === 4 && this.#sides.size > 0) {
      const side = pick(world.prng, [...this.#sides]);
      side.connection?.destroy();
      this.gone(side);
    } else if (this.#sides.size > 0) pick(world.prng, [...this.#sides]).act();
    world.after(world.between(10, 250), () => this.#act());
  }

  #dial(): void {
    const others = [...this.#cluster.peers.values()].filter((one) => one.process !== this.process);
    if (others.length === 0) return;
    const side = this.#side(0);
    side.connection = this.#place.dial(pick(this.world.prng, others).self, side);
  }
}
