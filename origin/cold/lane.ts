/**
 * So many fetches at a time; the others wait in the order in which they came, and not more than `waitingMax` of them.
 *
 * Rule 1: whoever gives up while it waits has had no turn.
 * Rule 2: half of the places are kept for backends that have none, evenly; so is the room to wait. One that hangs takes the
 *         other half, and all others go on.
 * Rule 3: of whom nothing has come for `standMsMax` does not keep its place while somebody waits: it goes on without one, and
 *         is not ended for it, up to `asideMax` of them. It holds no memory by then (store/intake.ts parks what stands).
 */

export type FetchLaneLimits = { readonly runningMax: number; readonly waitingMax: number };

/** Longer than a backend that is well takes to its first byte, or pauses between two. */
export const standMsMax = 5_000;
/** While somebody waits. */
const lookMs = 1_000;
/** Streams of the backend that stand, beside those with a place. */
export const asideMax = 64;

/** `seen`: what had come of it, and since when it is no more. */
type Place = {
  readonly backend: string;
  readonly received: () => number;
  seen: number;
  sinceMs: number;
  kept: boolean;
};
type Waiting = { readonly backend: string; begin(): void };

export class FetchLane {
  readonly #limits: FetchLaneLimits;
  readonly #backends: readonly string[];
  /** Places of each backend that no other one takes. */
  readonly #kept: number;
  readonly #waiting: Waiting[] = [];
  readonly #running = new Map<string, number>();
  readonly #places = new Set<Place>();
  #aside = 0;
  #look: NodeJS.Timeout | undefined;

  constructor(limits: FetchLaneLimits, backends: readonly string[]) {
    this.#limits = limits;
    this.#backends = backends;
    this.#kept = Math.max(1, Math.floor(limits.runningMax / (2 * Math.max(1, backends.length))));
  }

  get running(): number {
    let all = 0;
    for (const running of this.#running.values()) all += running;
    return all;
  }

  /** Those that go on without a place. */
  get aside(): number {
    return this.#aside;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Whether one more of `backend` would neither run nor wait. */
  full(backend: string): boolean {
    const waiting = this.#waiting.filter((one) => one.backend === backend).length;
    return !this.#free(backend) && waiting >= Math.ceil(this.#limits.waitingMax / Math.max(1, this.#backends.length));
  }

  /** Runs `work`, of which `received` bytes have come, when it is its turn. Rejects with the signal's reason where that comes first. */
  async run<T>(
    backend: string,
    work: () => Promise<T>,
    signal: AbortSignal,
    received: () => number = () => 0,
  ): Promise<T> {
    await this.#turn(backend, signal);
    const place: Place = { backend, received, seen: 0, sinceMs: performance.now(), kept: true };
    this.#places.add(place);
    try {
      return await work();
    } finally {
      this.#places.delete(place);
      if (place.kept) this.#add(backend, -1);
      else this.#aside -= 1;
      this.#next();
    }
  }

  /** Takes their places from those that stand. */
  #setAside(): void {
    this.#look = undefined;
    const nowMs = performance.now();
    for (const place of this.#places) {
      const came = place.received();
      if (came !== place.seen) {
        place.seen = came;
        place.sinceMs = nowMs;
      } else if (place.kept && nowMs - place.sinceMs >= standMsMax && this.#aside < asideMax) {
        place.kept = false;
        this.#aside += 1;
        this.#add(place.backend, -1);
      }
    }
    this.#next();
    this.#lookLater();
  }

  #lookLater(): void {
    if (this.#waiting.length > 0) this.#look ??= setTimeout(() => this.#setAside(), lookMs).unref();
  }

  async #turn(backend: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#free(backend)) {
      this.#add(backend, 1);
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const waiting: Waiting = {
        backend,
        begin: () => {
          signal.removeEventListener('abort', givenUp);
          resolve();
        },
      };
      const givenUp = (): void => {
        const at = this.#waiting.indexOf(waiting);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(signal.reason);
      };
      this.#waiting.push(waiting);
      this.#lookLater();
      signal.addEventListener('abort', givenUp, { once: true });
    });
  }

  /** The places that have become free go to the first who may have them. */
  #next(): void {
    for (;;) {
      const at = this.#waiting.findIndex(({ backend }) => this.#free(backend));
      const [first] = at < 0 ? [] : this.#waiting.splice(at, 1);
      if (first === undefined) return;
      this.#add(first.backend, 1);
      first.begin();
    }
  }

  #free(backend: string): boolean {
    if (this.#of(backend) < this.#kept) return true;
    let taken = this.running;
    for (const other of this.#backends) if (other !== backend) taken += Math.max(0, this.#kept - this.#of(other));
    return taken < this.#limits.runningMax;
  }

  #of(backend: string): number {
    return this.#running.get(backend) ?? 0;
  }

  #add(backend: string, more: number): void {
    this.#running.set(backend, this.#of(backend) + more);
  }
}
