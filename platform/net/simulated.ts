/**
 * A net in memory and virtual time: places by name, connections over a Medium, and what can go wrong with either.
 *
 * Rule 1: nothing here draws or waits on its own: with one clock and one medium, equal calls give equal runs.
 * Rule 2: a place that has ended hears nothing more, and nobody hears of it but by its connections.
 */

import type { Medium } from './medium.ts';
import type { Connection, Door, Ears, Endpoint, Incoming, Listener, Net } from './net.ts';
import { End, type Pair, pairOf } from './simulated-connection.ts';

/** Where a drawn port begins, as a system's do. */
const drawnPortMin = 32_768;

type Open = { readonly place: SimulatedHost; readonly door: Door };

export class SimulatedNet {
  readonly medium: Medium;
  /** Every connection that was made and is alive, or may be again. */
  readonly pairs = new Set<Pair>();
  readonly #doors = new Map<string, Open>();
  #nextPort = drawnPortMin;

  constructor(medium: Medium) {
    this.medium = medium;
  }

  /** One process on the host of that name. */
  place(host: string): SimulatedHost {
    return new SimulatedHost(this, host);
  }

  // ---- for places ------------------------------------------------------------------------------

  open(place: SimulatedHost, at: Endpoint, door: Door): number {
    const port = at.port === 0 ? this.#nextPort++ : at.port;
    const name = `${place.host}:${port}`;
    if (this.#doors.has(name)) throw Object.assign(new Error(`${name} is in use`), { code: 'EADDRINUSE' });
    this.#doors.set(name, { place, door });
    return port;
  }

  shut(host: string, port: number): void {
    this.#doors.delete(`${host}:${port}`);
  }

  dial(place: SimulatedHost, to: Endpoint, ears: Ears): Connection {
    const { clock } = this.medium;
    const dialler = new End({ remote: to, ears, clock });
    place.add(dialler);
    const refused = (why: string): void => dialler.ended(why);
    const ms = this.medium.dialMs(place.host, to.host);
    // Nothing gets through: nothing is told, either.
    if (ms === undefined) return dialler;
    clock.after(ms, () => {
      // It may have been cut off meanwhile.
      if (!dialler.open || this.medium.dialMs(place.host, to.host) === undefined) return;
      const found = this.#doors.get(`${to.host}:${to.port}`);
      if (found === undefined) return void clock.soon(() => refused(`connect ECONNREFUSED ${to.host}:${to.port}`));
      const remote = { host: place.host, port: this.#nextPort++ };
      if (!this.#knock(found, dialler, { from: place.host, remote })) clock.soon(() => refused('closed by the peer'));
    });
    return dialler;
  }

  #knock({ place, door }: Open, dialler: End, o: { from: string; remote: Endpoint }): boolean {
    if (door.letsIn?.(o.remote.host) === false) return false;
    let taken = false;
    const incoming: Incoming = {
      remote: o.remote,
      take: (ears) => {
        taken = true;
        const acceptor = new End({ remote: o.remote, ears, clock: this.medium.clock });
        place.add(acceptor);
        const pair = pairOf(this.medium, { dialler, acceptor, from: o.from, to: place.host });
        this.pairs.add(pair);
        void Promise.all([dialler.over, acceptor.over]).then(() => this.pairs.delete(pair));
        return acceptor;
      },
      refuse: () => undefined,
    };
    door.accept(incoming);
    return taken;
  }
}

/** The network of one process, from its start to its end. */
export class SimulatedHost implements Net {
  readonly host: string;
  readonly #net: SimulatedNet;
  readonly #ends = new Set<End>();
  readonly #ports = new Set<number>();
  #ended = false;

  constructor(net: SimulatedNet, host: string) {
    this.#net = net;
    this.host = host;
  }

  dial(to: Endpoint, ears: Ears): Connection {
    return this.#net.dial(this, to, ears);
  }

  async listen(at: Endpoint, door: Door): Promise<Listener> {
    const port = this.#net.open(this, at, door);
    this.#ports.add(port);
    const close = async (): Promise<void> => {
      this.#shut(port);
      await Promise.all([...this.#ends].map((end) => end.over));
    };
    return { port, close };
  }

  /** Of its connections, those that are not over. */
  get ends(): Iterable<End> {
    return this.#ends;
  }

  /** The process is gone. `power`: nobody closed its connections, and the others notice in time. */
  end(power = false): void {
    this.#ended = true;
    for (const port of this.#ports) this.#shut(port);
    for (const end of this.#ends) {
      if (power) end.vanish();
      else end.destroy();
    }
    this.#ends.clear();
  }

  // ---- for the net -----------------------------------------------------------------------------

  add(end: End): void {
    if (this.#ended) return end.vanish();
    this.#ends.add(end);
    void end.over.then(() => this.#ends.delete(end));
  }

  #shut(port: number): void {
    if (this.#ports.delete(port)) this.#net.shut(this.host, port);
  }
}
