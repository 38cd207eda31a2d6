/**
 * What both engines do: time goes in ticks; at each one the active flows share the links, and what
 * is sent within the tick finishes at its own moment within it. Engines say how long a tick is and
 * how links are shared.
 *
 * Two rules make up for ticks. What a flow that ends leaves of its share, its links may carry in the
 * next tick, up to one tick's worth; and they owe what they carried too much. A flow that begins
 * within a tick is served in the next one as from its beginning.
 */

import { SimEvent } from '../events.ts';
import { Flows, Links } from './flows.ts';
import { Network, type Pipe } from './network.ts';

/** A link owes at most this many ticks. */
const owedTicks = 4;

class TickEvent extends SimEvent {
  readonly network: TickNetwork;
  constructor(network: TickNetwork) {
    super();
    this.network = network;
  }
  run(): void {
    this.network.tick();
  }
}

export abstract class TickNetwork extends Network {
  protected readonly flows = new Flows();
  protected readonly links = new Links();
  readonly #event: TickEvent = new TickEvent(this);
  #ticking = false;
  #tickMs = 0;
  #nextMs = 0;
  /** Hosts that the links are of. */
  #hosts = 0;

  /** `rates`: the larger one of each host's links, bytes a millisecond, ascending. */
  protected abstract tickMsFor(rates: readonly number[]): number;
  /** Writes every flow's share. */
  protected abstract share(): void;

  protected get zoned(): boolean {
    return this.config.zoneBytesPerS !== Number.POSITIVE_INFINITY;
  }

  protected override activate(pipe: Pipe, nowMs: number): void {
    if (this.#hosts !== this.up.length) this.#size();
    if (!this.#ticking) {
      this.#ticking = true;
      this.#nextMs = nowMs;
      this.events.schedule(this.#event, nowMs);
    }
    const from = this.zone[pipe.src] as number;
    const to = this.zone[pipe.dst] as number;
    const crosses = from !== to && this.zoned;
    const up = this.#linksOf(pipe.src);
    const down = this.#linksOf(pipe.dst) + 1;
    const flow = this.flows.add(pipe, up, down);
    this.flows.out[flow] = crosses ? 1 + 2 * from : 0;
    this.flows.into[flow] = crosses ? 2 + 2 * to : 0;
    this.flows.remaining[flow] = this.wireBytes(pipe);
    const early = Math.max(0, Math.min(1, (this.#nextMs - nowMs) / this.#tickMs));
    this.flows.weight[flow] = 1 + early;
    this.#woken(up, early);
    this.#woken(down, early);
  }

  protected override deactivate(pipe: Pipe): void {
    if (pipe.slot >= 0) this.flows.remove(pipe.slot);
  }

  protected override chargeControl(src: number, dst: number, bytes: number): void {
    // Before its first piece a host's links are not there yet.
    if (Math.max(src, dst) >= this.#hosts) return;
    const { kept } = this.links;
    const up = this.#linksOf(src);
    const down = this.#linksOf(dst) + 1;
    kept[up] = (kept[up] as number) - bytes;
    kept[down] = (kept[down] as number) - bytes;
  }

  tick(): void {
    const { flows, links } = this;
    if (flows.count === 0) {
      this.#ticking = false;
      links.used.fill(0, 0, links.count);
      return;
    }
    const { room, capacity, kept } = links;
    for (let l = 1; l < links.count; l++) {
      const full = capacity[l] as number;
      room[l] = Math.max(full / 16, full + (kept[l] as number));
    }
    this.share();
    links.used.fill(0, 0, links.count);
    links.lost.fill(0, 0, links.count);
    for (let f = flows.count - 1; f >= 0; f--) this.#move(f);
    this.#keep();
    this.#nextMs = this.events.nowMs + this.#tickMs;
    this.events.schedule(this.#event, this.#nextMs);
  }

  /** A link that was idle could have carried this much since its first flow began. */
  #woken(link: number, ticks: number): void {
    const { used, kept, capacity } = this.links;
    if ((used[link] as number) > 0) return;
    kept[link] = Math.max(kept[link] as number, ticks * (capacity[link] as number));
  }

  #keep(): void {
    const { used, lost, capacity, kept, count } = this.links;
    for (let l = 1; l < count; l++) {
      const full = capacity[l] as number;
      const left = full + (kept[l] as number) - (used[l] as number);
      kept[l] = Math.max(-owedTicks * full, Math.min(full, left, lost[l] as number));
    }
  }

  #move(f: number): void {
    const { flows, links } = this;
    const share = flows.share[f] as number;
    const left = (flows.remaining[f] as number) - share;
    if (left > 0) {
      // Most flows of most ticks: nothing of the pipe itself is looked at.
      flows.remaining[f] = left;
      charge(links.used, flows, f, share);
      flows.weight[f] = 1;
      return;
    }
    charge(links.used, flows, f, this.#finish(f, share));
    flows.weight[f] = 1;
    if (!(flows.pipes[f] as Pipe).active) flows.remove(f);
  }

  /** What is on the wire gets through within the tick, and perhaps what comes after it. Bytes sent. */
  #finish(f: number, share: number): number {
    const { flows } = this;
    const pipe = flows.pipes[f] as Pipe;
    const { nowMs } = this.events;
    // Its share comes evenly over as many ticks as its weight says, the last of which ends with this one.
    const msPerByte = ((flows.weight[f] as number) * this.#tickMs) / share;
    let left = share;
    while (pipe.active && (flows.remaining[f] as number) <= left) {
      left -= flows.remaining[f] as number;
      this.finished(pipe, Math.max(nowMs, nowMs + this.#tickMs - left * msPerByte));
      if (pipe.active) flows.remaining[f] = this.wireBytes(pipe);
    }
    if (pipe.active) {
      flows.remaining[f] = (flows.remaining[f] as number) - left;
      return share;
    }
    charge(this.links.lost, flows, f, left);
    return share - left;
  }

  /** Number of a host's uplink; its downlink is the next one. */
  #linksOf(host: number): number {
    return 1 + 2 * this.config.zones + 2 * host;
  }

  /** Hosts have come: how long a tick is, and what each link carries in one. */
  #size(): void {
    this.#hosts = this.up.length;
    const { links, config } = this;
    const rates = this.up.map((up, host) => Math.max(up, this.down[host] as number)).sort((a, b) => a - b);
    this.#tickMs = this.tickMsFor(rates);
    links.clear();
    links.add(Number.POSITIVE_INFINITY);
    for (let i = 0; i < 2 * config.zones; i++) links.add((config.zoneBytesPerS / 1000) * this.#tickMs);
    for (let host = 0; host < this.#hosts; host++) {
      links.add((this.up[host] as number) * this.#tickMs);
      links.add((this.down[host] as number) * this.#tickMs);
    }
  }
}

/** Adds `bytes` to each of the flow's links. */
function charge(to: Float64Array, { up, down, out, into }: Flows, f: number, bytes: number): void {
  to[up[f] as number] = (to[up[f] as number] as number) + bytes;
  to[down[f] as number] = (to[down[f] as number] as number) + bytes;
  if (out[f] === 0) return;
  to[out[f] as number] = (to[out[f] as number] as number) + bytes;
  to[into[f] as number] = (to[into[f] as number] as number) + bytes;
}
