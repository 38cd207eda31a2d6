/**
 * The network between the run's peers: platform/net's simulated one over the modelled links of loadgen/sim. Bytes come
 * apart on their way, and bits flip (checksums miss some); all that is said is overheard (wiretap.ts).
 */

import type { Lane, Medium } from '../../../platform/net/medium.ts';
import { SimulatedNet } from '../../../platform/net/simulated.ts';
import { CallEvent, Pipe, type Way } from '../../sim/network/network.ts';
import { clockOf, type World } from '../world.ts';
import { type Cluster, hostOf } from './net.ts';
import { Wiretap } from './wiretap.ts';

/** What is shorter goes as a message does, which waits for no piece. */
const pieceBytesMin = 4 * 1024;
/** Of whatever is sent at once, one in so many comes apart. */
const apartOnceIn = 16;

export function clusterOf(world: World, o: Pick<Cluster, 'policy' | 'contents' | 'lies'>): Cluster {
  const cluster: Cluster = {
    world,
    ...o,
    net: new SimulatedNet(mediumOf(world, (pair, from, bytes) => tap.sent(pair, from, bytes))),
    peers: new Map(),
    hostile: new Set(),
    decayed: new Set(),
  };
  const tap = new Wiretap(cluster);
  return cluster;
}

function mediumOf(world: World, sent: NonNullable<Medium['sent']>): Medium {
  return {
    clock: clockOf(world, () => world.nowMs),
    sent,
    dialMs(from, to) {
      const [src, dst] = [hostOf(from), hostOf(to)];
      // No such host: its name is refused at once.
      if (src === undefined || dst === undefined || dst >= world.hosts) return 1;
      return world.connected(src, dst) ? world.network.latencyMs(src, dst) : undefined;
    },
    noticeMs: () => world.between(5_000, 15_000),
    cuts: (bytes) => (bytes > 1 && world.once(apartOnceIn) ? [1 + world.prng.below(bytes - 1)] : []),
    lane: (from, to, side) => new ModelledLane(world, { from: hostOf(from) as number, to: hostOf(to) as number, side }),
  };
}

/** One direction over the modelled links: pieces share them, and messages wait for no piece of the other direction. */
class ModelledLane implements Lane {
  readonly #world: World;
  readonly #pieces: Pipe | undefined;
  readonly #way: Way;
  #open = true;

  constructor(world: World, { from, to, side }: { from: number; to: number; side: 'dialler' | 'feeds' }) {
    this.#world = world;
    this.#pieces = side === 'feeds' ? new Pipe(from, to) : undefined;
    this.#way = this.#pieces ?? { src: from, dst: to, lastArrivalMs: 0 };
  }

  send(bytes: number, arrived: () => void): void {
    if (!this.#open) return;
    const { network } = this.#world;
    const event = new CallEvent(() => {
      if (!this.#open) return;
      this.#world.dirty = true;
      arrived();
    });
    if (this.#pieces === undefined) network.sendInOrder(this.#way, bytes, event);
    else if (bytes >= pieceBytesMin) network.sendPiece(this.#pieces, bytes, event);
    else network.sendOn(this.#pieces, bytes, event);
  }

  close(): void {
    this.#open = false;
    if (this.#pieces !== undefined) this.#world.network.close(this.#pieces);
  }
}
