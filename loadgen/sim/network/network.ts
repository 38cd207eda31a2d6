/**
 * The simulated network: hosts with an uplink and a downlink each, zones with an uplink and a
 * downlink of their own, and pipes (one direction of a TCP connection) that share them.
 *
 * What is modelled. A pipe delivers in order: a message that is sent while pieces are on the pipe
 * arrives behind them. Every active pipe keeps `queuePerFlowBytes` in its host's queue (Linux lets
 * a socket put about two 64 KiB segments there), so any message waits for what all active pipes of
 * its sender have queued: a grant's round trip under load. Latency has uniform jitter. Control
 * bytes take their share of the uplink and of the downlink, and each node handles a bounded number
 * of messages a second.
 *
 * What is not. Slow start (a data centre's round trip ends it within the first piece), loss inside
 * a connection, and CPU time for piece bytes.
 *
 * Two engines share this face: ExactNetwork (max-min fair) and FastNetwork (cheaper).
 */

import { assert } from '../../../core/assert.ts';
import type { Prng } from '../../../core/prng.ts';
import { type Events, SimEvent } from '../events.ts';

/** Two segments of 64 KiB: what a socket keeps in the queue of its host's link (TCP small queues). */
export const queuePerFlowBytes = 128 * 1024;

export type HostCaps = {
  /** Bytes a second. */
  readonly upBytesPerS: number;
  readonly downBytesPerS: number;
  readonly zone: number;
  /** Messages that the node's CPU handles a second. */
  readonly messagesPerS: number;
};

export type NetworkConfig = {
  readonly latencyMs: number;
  readonly jitterMs: number;
  /** Added between zones. */
  readonly zoneLatencyMs: number;
  /** Bytes a second each way between a zone and the rest; Infinity: no bottleneck. */
  readonly zoneBytesPerS: number;
  readonly zones: number;
};

/** From one host to another; what is sent on the same way arrives in order. */
export type Way = { readonly src: number; readonly dst: number; lastArrivalMs: number };

/** One direction of a connection that carries pieces. */
export class Pipe implements Way {
  readonly src: number;
  readonly dst: number;
  closed = false;
  /** What arrives with its last byte: `queue[head]` is on the wire. */
  readonly queue: SimEvent[] = [];
  head = 0;
  /** Something is on the wire; then `slot` is its place among the active ones. */
  active = false;
  slot = -1;
  lastArrivalMs = 0;

  constructor(src: number, dst: number) {
    this.src = src;
    this.dst = dst;
  }

  /** Takes back what has not begun to leave; false where nothing matches. */
  withdraw(matches: (event: SimEvent) => boolean): boolean {
    for (let i = this.head + 1; i < this.queue.length; i++) {
      if (!matches(this.queue[i] as SimEvent)) continue;
      this.queue.splice(i, 1);
      return true;
    }
    return false;
  }
}

export abstract class Network {
  readonly events: Events;
  protected readonly config: NetworkConfig;
  readonly #prng: Prng;
  /** Bytes a millisecond. */
  protected readonly up: number[] = [];
  protected readonly down: number[] = [];
  protected readonly zone: number[] = [];
  /** By zone: bytes of pieces that came into it from others. */
  readonly crossZoneBytes: number[];
  /** Pipes with something on the wire, per sending host. */
  protected readonly activePipes: number[] = [];
  readonly #handleMs: number[] = [];
  readonly #cpuFreeMs: number[] = [];
  readonly #partition: number[] = [];
  messages = 0;
  pieceBytes = 0;

  constructor(events: Events, config: NetworkConfig, prng: Prng) {
    this.events = events;
    this.config = config;
    this.crossZoneBytes = Array.from({ length: config.zones }, () => 0);
    this.#prng = prng;
  }

  addHost(caps: HostCaps): number {
    this.up.push(caps.upBytesPerS / 1000);
    this.down.push(caps.downBytesPerS / 1000);
    this.zone.push(caps.zone);
    this.activePipes.push(0);
    this.#handleMs.push(1000 / caps.messagesPerS);
    this.#cpuFreeMs.push(0);
    this.#partition.push(0);
    return this.up.length - 1;
  }

  /** Hosts of different sides hear nothing of each other until they are on one side again. */
  setSide(host: number, side: number): void {
    this.#partition[host] = side;
  }

  connected(a: number, b: number): boolean {
    return this.#partition[a] === this.#partition[b];
  }

  /** A round trip's half with jitter, without queues. */
  latencyMs(src: number, dst: number): number {
    const between = this.zone[src] === this.zone[dst] ? 0 : this.config.zoneLatencyMs;
    return this.config.latencyMs + between + this.#prng.unit() * this.config.jitterMs;
  }

  /** A piece of `bytes` down `pipe`; `event` runs when its last byte has arrived. */
  sendPiece(pipe: Pipe, bytes: number, event: SimEvent): void {
    if (pipe.closed) return;
    assert(bytes > 0, 'an empty piece');
    this.pieceBytes += bytes;
    event.bytes = bytes;
    pipe.queue.push(event);
    if (!pipe.active) this.#begin(pipe, this.events.nowMs);
  }

  /** A message down `pipe`, behind the pieces on it. */
  sendOn(pipe: Pipe, bytes: number, event: SimEvent): void {
    if (pipe.closed) return;
    if (pipe.active) {
      this.messages++;
      this.chargeControl(pipe.src, pipe.dst, bytes);
      event.bytes = 0;
      pipe.queue.push(event);
      return;
    }
    this.sendInOrder(pipe, bytes, event);
  }

  /** One more message along with the last one on that way. */
  charge({ src, dst }: Way, bytes: number): void {
    this.messages++;
    this.chargeControl(src, dst, bytes);
  }

  /** A message on its own. */
  send(src: number, dst: number, bytes: number, event: SimEvent): void {
    this.sendInOrder({ src, dst, lastArrivalMs: 0 }, bytes, event);
  }

  /** A message that waits for no piece; in order among those on the same way. */
  sendInOrder(way: Way, bytes: number, event: SimEvent): void {
    const { src, dst } = way;
    if (this.#partition[src] !== this.#partition[dst]) return;
    this.messages++;
    const queued = this.queueMs(src);
    this.chargeControl(src, dst, bytes);
    this.#deliver(way, this.events.nowMs + queued, event);
  }

  /** Drops what is on the pipe; nothing more arrives from it. */
  close(pipe: Pipe): void {
    if (pipe.closed) return;
    pipe.closed = true;
    for (let i = pipe.head; i < pipe.queue.length; i++) (pipe.queue[i] as SimEvent).dead = true;
    pipe.queue.length = 0;
    pipe.head = 0;
    if (pipe.active) {
      pipe.active = false;
      this.activePipes[pipe.src] = (this.activePipes[pipe.src] as number) - 1;
      this.deactivate(pipe);
    }
  }

  /** Time that a message waits behind what `host` has in its link's queue. */
  protected queueMs(host: number): number {
    return ((this.activePipes[host] as number) * queuePerFlowBytes) / (this.up[host] as number);
  }

  /** The engine says: the item on the wire has left `src`, and its last byte arrives at `doneMs` (before latency). */
  protected finished(pipe: Pipe, doneMs: number): void {
    const first = pipe.queue[pipe.head] as SimEvent;
    const to = this.zone[pipe.dst] as number;
    if (to !== this.zone[pipe.src]) this.crossZoneBytes[to] = (this.crossZoneBytes[to] as number) + first.bytes;
    pipe.head++;
    this.#deliver(pipe, doneMs, first);
    while (pipe.head < pipe.queue.length && (pipe.queue[pipe.head] as SimEvent).bytes === 0) {
      this.#deliver(pipe, doneMs, pipe.queue[pipe.head] as SimEvent);
      pipe.head++;
    }
    if (pipe.head === pipe.queue.length) {
      pipe.queue.length = 0;
      pipe.head = 0;
      pipe.active = false;
      this.activePipes[pipe.src] = (this.activePipes[pipe.src] as number) - 1;
    } else if (pipe.head > 64) {
      pipe.queue.splice(0, pipe.head);
      pipe.head = 0;
    }
  }

  protected wireBytes(pipe: Pipe): number {
    return (pipe.queue[pipe.head] as SimEvent).bytes;
  }

  #begin(pipe: Pipe, nowMs: number): void {
    pipe.active = true;
    this.activePipes[pipe.src] = (this.activePipes[pipe.src] as number) + 1;
    this.activate(pipe, nowMs);
  }

  #deliver(way: Way, sentMs: number, event: SimEvent): void {
    const { src, dst } = way;
    const cpuFreeMs = this.#cpuFreeMs[dst] as number;
    const atMs = Math.max(sentMs + this.latencyMs(src, dst), way.lastArrivalMs);
    way.lastArrivalMs = atMs;
    const handled = Math.max(cpuFreeMs, atMs) + (this.#handleMs[dst] as number);
    // A node that is idle now but has a message due much later is not busy until then.
    if (atMs - this.events.nowMs < 1) this.#cpuFreeMs[dst] = handled;
    this.events.schedule(event, handled);
  }

  /** `pipe` has its first item since it was idle. */
  protected abstract activate(pipe: Pipe, nowMs: number): void;
  protected abstract deactivate(pipe: Pipe): void;
  protected abstract chargeControl(src: number, dst: number, bytes: number): void;
}

/** A call-back as an event, for what happens rarely. */
export class CallEvent extends SimEvent {
  readonly #call: () => void;
  constructor(call: () => void) {
    super();
    this.#call = call;
  }
  run(): void {
    this.#call();
  }
}
