/**
 * A simulated TCP connection that carries HTTP between two processes: Node's own HTTP server and undici read and write
 * its ends as they do sockets.
 *
 * Rule 1: bytes arrive in order, or none any more. What does not get through is sent again, as TCP does, until the
 *         connection is given up.
 * Rule 2: whoever does not read lets the other side wait once a window of bytes is under way.
 * Rule 3: a process that hangs sends nothing and reads nothing; its kernel takes a window of bytes.
 */

import { Duplex } from 'node:stream';
import { CallEvent, type Way } from '../../sim/network/network.ts';
import type { Process, World } from '../world.ts';

const windowBytes = 256 * 1024;
const againMs = 200;
const againMsMax = 3_000;
/** A host without power is given up after so long, unless it is back and says so before. */
const vanishedMs = [5_000, 15_000] as const;
/** One chunk in so many is late, by up to so long. */
const lateOnceIn = 400;
const lateMs = 1_500;

/** Bytes that were written together; undefined: nothing follows. */
type Chunk = { readonly parts: readonly Uint8Array[] | undefined; readonly length: number; there: boolean };
type Done = (error?: Error | null) => void;
type End = 0 | 1;

/** One direction. */
type Flow = {
  readonly way: Way;
  /** In order. */
  readonly queue: Chunk[];
  /** Bytes that the reader has not taken. */
  open: number;
  /** The writer waits for room. */
  blocked: Done | undefined;
  /** Sent by a process that hangs. */
  readonly unsent: Chunk[];
  reads: boolean;
  /** Its end was sent. */
  finished: boolean;
  tries: number;
  again: boolean;
};

function reset(): Error {
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
}

/** One end, as a socket. */
class Socket extends Duplex {
  readonly remoteAddress: string;
  readonly #wire: Wire;
  readonly #end: End;

  constructor(wire: Wire, end: End, remoteAddress: string) {
    super({ allowHalfOpen: false });
    this.#wire = wire;
    this.#end = end;
    this.remoteAddress = remoteAddress;
    // Whoever owns it listens, too; until then nobody does.
    this.on('error', () => undefined);
  }

  override _read(): void {
    this.#wire.reads(this.#end);
  }

  override _write(bytes: Uint8Array, _encoding: string, done: Done): void {
    this.#wire.send(this.#end, [bytes], done);
  }

  override _writev(chunks: { readonly chunk: Uint8Array }[], done: Done): void {
    this.#wire.send(
      this.#end,
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: Done): void {
    this.#wire.send(this.#end, undefined, done);
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#wire.closed(this.#end);
    done(error);
  }

  // What Node's server and undici ask of a socket; idle connections are the clients' to close.
  setTimeout(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

/** What becomes of bytes on the way. */
export type Spoil = (bytes: Uint8Array) => Uint8Array;

export class Wire {
  readonly world: World;
  /** The dialler, then the acceptor. */
  readonly processes: readonly [Process, Process];
  readonly sockets: readonly [Duplex, Duplex];
  readonly #flows: readonly [Flow, Flow];
  readonly #spoil: Spoil;
  /** Ends that their process, or its kernel, has closed. */
  readonly #closed: [boolean, boolean] = [false, false];
  #over = false;

  constructor(world: World, processes: readonly [Process, Process], spoil: Spoil) {
    const [from, to] = processes;
    this.world = world;
    this.processes = processes;
    this.#spoil = spoil;
    this.sockets = [new Socket(this, 0, addressOf(to)), new Socket(this, 1, addressOf(from))];
    this.#flows = [flow(from.host, to.host), flow(to.host, from.host)];
  }

  /** Neither end takes part any more. */
  get over(): boolean {
    return this.#over;
  }

  /** Nothing of it is left: Node keeps what a socket has until it is destroyed. */
  get gone(): boolean {
    return this.#over && this.sockets.every((socket) => socket.destroyed);
  }

  get busy(): boolean {
    return this.#flows.some(({ queue }) => queue.length > 0);
  }

  send(from: End, written: readonly Uint8Array[] | undefined, done: Done): void {
    const flow = this.#flows[from];
    // Of a process that has ended nobody hears anything.
    if (this.#closed[from] && written !== undefined) return done();
    // A server uses the memory of what it has sent again.
    const parts = written?.map((part) => (from === 1 ? Buffer.from(part) : this.#spoil(part)));
    const length = written?.reduce((sum, part) => sum + part.length, 0) ?? 0;
    const chunk = { parts, length, there: false };
    flow.open += length;
    if (this.processes[from].hangs === true) flow.unsent.push(chunk);
    else this.#sendOn(from, chunk);
    if (flow.open <= windowBytes) done();
    else flow.blocked = done;
  }

  #sendOn(from: End, chunk: Chunk): void {
    const { world } = this;
    const flow = this.#flows[from];
    flow.queue.push(chunk);
    flow.finished ||= chunk.parts === undefined;
    const arrive = new CallEvent(() => {
      chunk.there = true;
      this.flow(other(from));
    });
    const send = (): void => world.network.sendInOrder(flow.way, chunk.length, arrive);
    if (!world.faultsOver && world.once(lateOnceIn)) {
      world.fault('HTTP bytes come late');
      world.after(world.between(0, lateMs), send);
    } else send();
  }

  reads(to: End): void {
    this.#flows[other(to)].reads = true;
    this.flow(to);
  }

  /** Gives the end at `to` what has arrived for it, as long as it reads. */
  flow(to: End): void {
    const flow = this.#flows[other(to)];
    const { world } = this;
    while (!this.#over && flow.queue[0]?.there === true && this.processes[to].hangs !== true) {
      if (!world.connected(flow.way.src, flow.way.dst)) return this.#later(to, flow);
      flow.tries = 0;
      if (!flow.reads && !this.#closed[to]) return;
      const { parts, length } = flow.queue.shift() as Chunk;
      world.dirty = true;
      if (this.#closed[to]) {
        // Nobody is there: the host says so.
        if (parts !== undefined) this.#tell(other(to));
        continue;
      }
      for (const part of parts ?? []) flow.reads = this.sockets[to].push(part);
      if (parts === undefined) this.sockets[to].push(null);
      flow.open -= length;
      if (flow.open <= windowBytes) {
        const { blocked } = flow;
        flow.blocked = undefined;
        blocked?.();
      }
    }
  }

  #later(to: End, flow: Flow): void {
    if (flow.again) return;
    flow.again = true;
    const waitMs = Math.min(againMsMax, againMs * 2 ** flow.tries++);
    this.world.after(waitMs, () => {
      flow.again = false;
      this.flow(to);
    });
  }

  /** The end was closed by its process, or with it: the other hears of it after what was sent. */
  closed(end: End): void {
    if (this.#over || this.#closed[end]) return;
    this.#closed[end] = true;
    if (this.#closed[other(end)]) {
      this.#over = true;
      return;
    }
    if (!this.#flows[end].finished) this.send(end, undefined, () => undefined);
    this.flow(end);
  }

  /** The end is told that the other one is not there any more, if anything gets through. */
  #tell(end: End): void {
    const [from, to] = [this.processes[other(end)].host, this.processes[end].host];
    const tell = (): void => {
      if (this.#over) return;
      if (!this.world.connected(from, to)) return void this.world.after(againMs, tell);
      this.end();
    };
    this.world.after(this.world.network.latencyMs(from, to), tell);
  }

  /** Reset: both ends are told now; nothing that is under way arrives. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.world.dirty = true;
    for (const [end, socket] of this.sockets.entries())
      if (this.processes[end as End].alive && !socket.destroyed) socket.destroy(reset());
  }

  /** The run is over. */
  destroy(): void {
    this.#over = true;
    for (const socket of this.sockets) socket.destroy();
  }

  /** Cut at any byte: of what is under way a part arrives. */
  cut(): void {
    for (const to of [0, 1] as const) {
      const [head] = this.#flows[other(to)].queue;
      if (head?.parts === undefined || this.processes[to].hangs === true || this.#closed[to]) continue;
      const bytes = Buffer.concat(head.parts);
      this.sockets[to].push(bytes.subarray(0, this.world.prng.below(bytes.length + 1)));
    }
    this.end();
  }

  /** The process at `end` was killed: its kernel closes. Without power nobody is told for long. */
  killed(end: End, power: boolean): void {
    if (!power) return this.closed(end);
    this.#closed[end] = true;
    this.world.after(this.world.between(...vanishedMs), () => this.end());
  }

  /** The process at `end` goes on after it hung: what it wrote meanwhile goes out, what came is read. */
  woke(end: End): void {
    for (const chunk of this.#flows[end].unsent.splice(0)) this.#sendOn(end, chunk);
    this.flow(end);
  }
}

function flow(src: number, dst: number): Flow {
  return {
    way: { src, dst, lastArrivalMs: 0 },
    queue: [],
    open: 0,
    blocked: undefined,
    unsent: [],
    reads: false,
    finished: false,
    tries: 0,
    again: false,
  };
}

function other(end: End): End {
  return end === 0 ? 1 : 0;
}

/** As a host of a cluster's network has it. */
function addressOf({ host }: Process): string {
  return `10.1.${host >> 8}.${host & 255}`;
}
