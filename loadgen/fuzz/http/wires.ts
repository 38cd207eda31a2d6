/**
 * HTTP between the processes of a run: real servers and real clients over simulated connections.
 *
 * Rule: a process that has ended calls nobody and answers nobody; whatever it still does, nobody hears.
 */

import type { Duplex } from 'node:stream';
import { assert } from '../../../core/assert.ts';
import { type Dial, DialledHttp, type HttpDoors, type HttpTransport } from '../../../platform/net/http.ts';
import type { Process, World } from '../world.ts';
import { type Spoil, Wire } from './wire.ts';

type Served = { readonly process: Process; readonly server: Parameters<HttpDoors['listen']>[0] };

/** More than any call of ours but bytes of blobs has in one chunk. */
const uploadBytesMin = 16 * 1024;
/** Ends that are over are dropped when there are so many. */
const wiresKept = 64;

const known = new WeakMap<World, Wires>();

/** Those of the run. */
export function wiresOf(world: World): Wires {
  const wires = known.get(world) ?? new Wires(world);
  known.set(world, wires);
  return wires;
}

export class Wires {
  readonly #world: World;
  /** By `host:port`, as a URL says it. */
  readonly #listeners = new Map<string, Served>();
  #wires = new Set<Wire>();
  #looked = wiresKept;

  constructor(world: World) {
    this.#world = world;
  }

  /** What `process` calls others with. `spoils`: a byte that it sends of an upload goes wrong on the way now and then. */
  transport(process: Process, spoils = false): HttpTransport {
    return new DialledHttp((to, made) => this.#dial(process, to, { made, spoils }));
  }

  /** Where `process` is called, until it ends. */
  doors(process: Process): HttpDoors {
    return {
      listen: async (server, at) => {
        assert('port' in at, 'wires: there are no files to listen on');
        const { host, port } = at;
        const name = new URL(`http://${host}:${port}`).host;
        if (process.alive) this.#listeners.set(name, { process, server });
        return { port, close: async () => void this.#listeners.delete(name) };
      },
    };
  }

  /** The process was killed, or its host lost power; nobody there hears anything any more. */
  ended(process: Process, power: boolean): void {
    for (const [name, listener] of this.#listeners) if (listener.process === process) this.#listeners.delete(name);
    for (const wire of this.#wires)
      for (const end of [0, 1] as const) if (wire.processes[end] === process) wire.killed(end, power);
  }

  /** The run is over: nothing may be left of its connections. */
  close(): void {
    for (const wire of this.#wires) wire.destroy();
    this.#wires.clear();
    this.#listeners.clear();
  }

  /** The process goes on after it hung. */
  woke(process: Process): void {
    for (const wire of this.#wires)
      for (const end of [0, 1] as const) if (wire.processes[end] === process) wire.woke(end);
  }

  /** Cuts a connection, one with something under way if there is any. False: there is none. */
  cut(): boolean {
    const alive = [...this.#wires].filter((wire) => !wire.over);
    const busy = alive.filter((wire) => wire.busy);
    const from = busy.length > 0 && !this.#world.once(4) ? busy : alive;
    if (from.length === 0) return false;
    this.#world.pick(from).cut();
    return true;
  }

  #dial(process: Process, to: Parameters<Dial>[0], o: { made: Parameters<Dial>[1]; spoils: boolean }): undefined {
    const { host } = new URL(`${to.protocol}//${to.host ?? to.hostname}`);
    this.#connect(process, host, o, 0);
    return undefined;
  }

  /** Sent again while nothing gets through; whoever dials gives up in time. */
  #connect(process: Process, name: string, o: { made: Parameters<Dial>[1]; spoils: boolean }, tries: number): void {
    const world = this.#world;
    const listener = this.#listeners.get(name);
    const host = listener?.process.host ?? process.host;
    world.after(world.network.latencyMs(process.host, host), () => {
      if (!process.alive) return;
      if (!world.connected(process.host, host)) {
        if (tries < 2) world.after(1_000, () => this.#connect(process, name, o, tries + 1));
        return;
      }
      const now = this.#listeners.get(name);
      world.after(world.network.latencyMs(host, process.host), () => {
        if (!process.alive) return;
        if (now?.process.alive !== true) return o.made(refused(), null);
        const wire = this.#wire(process, now.process, o.spoils);
        now.server.emit('connection', wire.sockets[1] as Duplex);
        o.made(null, wire.sockets[0]);
      });
    });
  }

  #wire(from: Process, to: Process, spoils: boolean): Wire {
    const wire = new Wire(this.#world, [from, to], spoils ? this.#spoil : untouched);
    this.#wires.add(wire);
    if (this.#wires.size > this.#looked) {
      this.#wires = new Set([...this.#wires].filter((one) => !one.gone));
      this.#looked = this.#wires.size * 2 + wiresKept;
    }
    return wire;
  }

  /** A checksum of TCP's misses some. */
  readonly #spoil: Spoil = (bytes) => {
    const world = this.#world;
    if (world.faultsOver || bytes.length < uploadBytesMin || !world.once(60)) return bytes;
    world.fault('a byte of an upload goes wrong');
    const spoilt = Buffer.from(bytes);
    const at = world.prng.below(bytes.length);
    spoilt[at] = (spoilt[at] as number) ^ 1;
    return spoilt;
  };
}

function untouched(bytes: Uint8Array): Uint8Array {
  return bytes;
}

function refused(): Error {
  return Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
}
