/**
 * Virtual timers: while they are installed, setTimeout and setInterval (those of node:timers/promises, too),
 * AbortSignal.timeout and performance.now of this process go by an EventQueue, so that real code that waits (an upload
 * that is parked, a hint that is written later, a hand-over that backs off) runs in virtual time and can be replayed.
 *
 * Rule: setImmediate takes no time: it stays real, and is counted, so that a run can wait until all that goes on at
 *   once has come to rest.
 */

import { syncBuiltinESMExports } from 'node:module';
import timersPromises from 'node:timers/promises';
import { type EventQueue, SimEvent } from '../../sim/events.ts';

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

const realImmediate = setImmediate;
const realClearImmediate = clearImmediate;
/** Immediates that were asked for and have not run. */
const pending = new Set<NodeJS.Immediate>();

function countedImmediate(call: Call, ...args: unknown[]): NodeJS.Immediate {
  const immediate = realImmediate(() => {
    pending.delete(immediate);
    call(...args);
  });
  pending.add(immediate);
  return immediate;
}

function clearCounted(immediate: NodeJS.Immediate | undefined): void {
  if (immediate === undefined) return;
  pending.delete(immediate);
  realClearImmediate(immediate);
}

/** Whether something goes on in the next turn of the real event loop, which is over when this resolves. */
export async function turnOver(): Promise<boolean> {
  await new Promise<void>((resolve) => realImmediate(resolve));
  return pending.size > 0;
}

/** As those of node:timers/promises: a value after a while, or the signal's end. */
function promised(begin: (call: () => void) => () => void) {
  return (value: unknown, options: { readonly signal?: AbortSignal } = {}): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const { signal } = options;
      const aborted = (): void => {
        stop();
        reject(Object.assign(new DOMException('The operation was aborted', 'AbortError'), { cause: signal?.reason }));
      };
      const stop = begin(() => {
        signal?.removeEventListener('abort', aborted);
        resolve(value);
      });
      if (signal?.aborted === true) return aborted();
      signal?.addEventListener('abort', aborted, { once: true });
    });
}

function virtualPromises(): Partial<typeof timersPromises> {
  const after = (ms: number) => (call: () => void) => {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  };
  const next = (call: () => void) => {
    const immediate = setImmediate(call);
    return () => clearImmediate(immediate);
  };
  return {
    setTimeout: (ms = 1, ...how: [unknown?, { signal?: AbortSignal }?]) => promised(after(ms))(...how),
    setImmediate: (...how: [unknown?, { signal?: AbortSignal }?]) => promised(next)(...how),
  } as Partial<typeof timersPromises>;
}

/** Installs them; `onRing` is told before a timer's call. The returned function puts the real ones back. */
export function installTimers(events: EventQueue, onRing: () => void): () => void {
  const real = { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate };
  const realPromises = { setTimeout: timersPromises.setTimeout, setImmediate: timersPromises.setImmediate };
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
    setImmediate: countedImmediate,
    clearImmediate: clearCounted,
  });
  Object.assign(timersPromises, virtualPromises());
  syncBuiltinESMExports();
  AbortSignal.timeout = (ms) => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new DOMException('The operation timed out', 'TimeoutError')), ms);
    return controller.signal;
  };
  performance.now = () => events.nowMs;
  return () => {
    Object.assign(globalThis, real);
    Object.assign(timersPromises, realPromises);
    syncBuiltinESMExports();
    AbortSignal.timeout = realTimeout;
    performance.now = realNow;
    // What a run left behind would run in the next one.
    for (const immediate of pending) realClearImmediate(immediate);
    pending.clear();
  };
}
