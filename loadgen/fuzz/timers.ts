/**
 * Virtual timers: while they are installed, setTimeout, setInterval, AbortSignal.timeout and
 * performance.now of this process go by an EventQueue, so that real code that waits (an upload that is
 * parked, a hint that is written later, a hand-over that backs off) runs in virtual time and can be replayed.
 *
 * Rule: setImmediate stays real: it is how a run waits until all promises have settled.
 */

import { type EventQueue, SimEvent } from '../sim/events.ts';

type Call = (...args: unknown[]) => void;

class Ring extends SimEvent {
  readonly #timer: VirtualTimer;
  constructor(timer: VirtualTimer) {
    super();
    this.#timer = timer;
  }
  run(): void {
    this.#timer.rang(this);
  }
}

/** What Node's Timeout offers and our code uses. */
class VirtualTimer {
  readonly #events: EventQueue;
  readonly #call: () => void;
  readonly #ms: number;
  readonly #repeats: boolean;
  readonly #onRing: () => void;
  #ring: Ring | undefined;

  constructor(o: { events: EventQueue; call: () => void; ms: number; repeats: boolean; onRing: () => void }) {
    this.#events = o.events;
    this.#call = o.call;
    this.#ms = Number.isFinite(o.ms) ? Math.max(1, o.ms) : 1;
    this.#repeats = o.repeats;
    this.#onRing = o.onRing;
    this.refresh();
  }

  refresh(): this {
    this.close();
    this.#ring = new Ring(this);
    this.#events.schedule(this.#ring, this.#events.nowMs + this.#ms);
    return this;
  }

  close(): this {
    if (this.#ring !== undefined) this.#ring.dead = true;
    this.#ring = undefined;
    return this;
  }

  rang(ring: Ring): void {
    if (this.#ring !== ring) return;
    this.#ring = undefined;
    if (this.#repeats) this.refresh();
    this.#onRing();
    this.#call();
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return false;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Installs them; `onRing` is told before a timer's call. The returned function puts the real ones back. */
export function installTimers(events: EventQueue, onRing: () => void): () => void {
  const real = { setTimeout, clearTimeout, setInterval, clearInterval };
  const realTimeout = AbortSignal.timeout;
  const realNow = performance.now;
  const start = (repeats: boolean) => {
    return (call: Call, ms = 1, ...args: unknown[]) =>
      new VirtualTimer({ events, call: () => call(...args), ms, repeats, onRing });
  };
  const clear = (realClear: (timer: never) => void) => (timer: unknown) => {
    if (timer instanceof VirtualTimer) timer.close();
    else if (timer !== undefined) realClear(timer as never);
  };
  Object.assign(globalThis, {
    setTimeout: start(false),
    setInterval: start(true),
    clearTimeout: clear(real.clearTimeout),
    clearInterval: clear(real.clearInterval),
  });
  AbortSignal.timeout = (ms) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new DOMException('The operation timed out', 'TimeoutError')), ms);
    return controller.signal;
  };
  performance.now = () => events.nowMs;
  return () => {
    Object.assign(globalThis, real);
    AbortSignal.timeout = realTimeout;
    performance.now = realNow;
  };
}
