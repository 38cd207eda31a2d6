/**
 * One run's world: virtual time, the network between hosts, what went wrong, what was done to it.
 *
 * Rule 1: everything random comes from `prng`, and everything that happens is an event; real code that
 *   awaits is let run to a standstill (`settle`) before the next event. So one seed gives one run.
 * Rule 2: the first violation ends the run.
 */

import { type Prng, prng } from '../../core/prng.ts';
import type { Clock } from '../../platform/net/clock.ts';
import { EventQueue, type SimEvent } from '../sim/events.ts';
import { FastNetwork } from '../sim/network/fast.ts';
import { CallEvent, type HostCaps } from '../sim/network/network.ts';
import { turnOver } from './virtual/timers.ts';

/** Something that broke a promise of DESIGN, section 6. */
export type Violation = { readonly kind: string; readonly text: string; readonly atMs: number };

/** A process, from its start to its end. */
export interface Process {
  readonly host: number;
  alive: boolean;
  /** It is stopped (SIGSTOP): it keeps its connections, and neither sends nor reads. */
  hangs?: boolean;
}

/** A process's own clock, which may be off, over the run's time. It rings only while the process lives. */
export function clockOf(world: World, nowMs: () => number, process: { readonly alive: boolean } = world): Clock {
  const rings = (call: () => void) => (): void => {
    if (process.alive) call();
  };
  return {
    nowMs,
    after: (ms, call) => {
      const event = world.after(ms, rings(call));
      return {
        [Symbol.dispose]: () => {
          event.dead = true;
        },
      };
    },
    soon: (call) => void world.after(0, rings(call)),
  };
}

/** Turns of the real event loop that everything which awaits is given; HTTP handled in memory takes a few. */
const settleTurnsMax = 10_000;

export class World {
  readonly seed: number;
  readonly alive = true;
  readonly prng: Prng;
  readonly events = new EventQueue();
  readonly network: FastNetwork;
  violation: Violation | undefined;
  /** Faults by kind. */
  readonly faults = new Map<string, number>();
  /** Inputs that a machine of core/ handled. */
  inputs = 0;
  /** Until then faults are made; afterwards everything works. */
  faultsOver = false;
  /** Something that awaits was touched since the last settle. */
  dirty = false;
  /** Pairs of hosts between which a bit flipped. */
  readonly #tainted = new Set<string>();
  trace: ((line: string) => void) | undefined;
  readonly #sides: number[] = [];
  #hash = 0x811c9dc5;

  constructor(seed: number) {
    this.seed = seed;
    this.prng = prng(seed);
    const config = {
      latencyMs: 0.2,
      jitterMs: 0.4,
      zoneLatencyMs: 0,
      zoneBytesPerS: Number.POSITIVE_INFINITY,
      zones: 1,
    };
    this.network = new FastNetwork(this.events, config, prng(this.prng.below(2 ** 31)));
  }

  get nowMs(): number {
    return this.events.nowMs;
  }

  get traceHash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  /** Takes part in the trace's hash. */
  note(line: string): void {
    for (let i = 0; i < line.length; i++) this.#hash = Math.imul(this.#hash ^ line.charCodeAt(i), 0x01000193);
    this.#hash = Math.imul(this.#hash ^ Math.floor(this.nowMs * 1000), 0x01000193);
    this.trace?.(`${this.nowMs.toFixed(3)} ${line}`);
  }

  /** For the trace only; called where there is one. */
  debug(line: string): void {
    this.trace?.(`${this.nowMs.toFixed(3)}   ${line}`);
  }

  fault(kind: string): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1);
    this.note(`fault ${kind}`);
  }

  violate(kind: string, text: string): void {
    if (this.violation !== undefined) return;
    this.violation = { kind, text, atMs: this.nowMs };
    this.note(`VIOLATION ${kind}: ${text}`);
  }

  /** True once in `n`. */
  once(n: number): boolean {
    return this.prng.below(n) === 0;
  }

  /** Between `low` and `high`, evenly. */
  between(low: number, high: number): number {
    return low + this.prng.unit() * (high - low);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.prng.below(items.length)] as T;
  }

  after(ms: number, call: () => void): SimEvent {
    const event = new CallEvent(() => {
      this.dirty = true;
      call();
    });
    this.events.schedule(event, this.nowMs + ms);
    return event;
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  // ---- hosts -----------------------------------------------------------------------------------

  addHost(bytesPerS: number): number {
    const caps: HostCaps = { upBytesPerS: bytesPerS, downBytesPerS: bytesPerS, zone: 0, messagesPerS: 200_000 };
    this.#sides.push(0);
    return this.network.addHost(caps);
  }

  get hosts(): number {
    return this.#sides.length;
  }

  /** Hosts of different sides hear nothing of each other. */
  setSide(host: number, side: number): void {
    this.#sides[host] = side;
  }

  /** A flipped bit makes either host think ill of the other, on any connection. */
  taint(a: number, b: number): void {
    this.#tainted.add(pairName(a, b));
  }

  isTainted(a: number, b: number): boolean {
    return this.#tainted.has(pairName(a, b));
  }

  connected(a: number, b: number): boolean {
    return this.#sides[a] === this.#sides[b];
  }

  // ---- time ------------------------------------------------------------------------------------

  /** Runs until `untilMs`, a violation, or `done`. True: done. */
  async run(untilMs: number, done: () => boolean): Promise<boolean> {
    for (;;) {
      if (this.violation !== undefined) return false;
      let ended = false;
      const stop = (): boolean => this.dirty || this.violation !== undefined;
      try {
        ended = this.events.run(untilMs, stop) || !stop();
      } catch (error) {
        this.threw(error);
      }
      if (this.dirty) {
        this.dirty = false;
        await this.settle();
        if (this.violation === undefined && done()) return true;
      } else if (ended) return done();
    }
  }

  /** Our own code threw what it must not. */
  threw(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.violate(error instanceof Error && error.name === 'Bug' ? 'bug' : 'threw', text);
  }

  /** Lets everything that awaits go on until it waits for virtual time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < settleTurnsMax; turn++) {
      if (!(await turnOver())) return;
    }
    this.violate('stuck', 'work that needs no time does not end');
  }
}

function pairName(a: number, b: number): string {
  return `${Math.min(a, b)} ${Math.max(a, b)}`;
}
