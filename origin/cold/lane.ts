/**
 * So many fetches at a time; the others wait in the order in which they came, and not more than `waitingMax` of them.
 *
 * Rule 1: whoever gives up while it waits has had no turn.
 * Rule 2: half of the places are kept for backends that have none, evenly; so is the room to wait. One that hangs takes the
 *         other half, and all others go on.
 */

export type FetchLaneLimits = { readonly runningMax: number; readonly waitingMax: number };

type Waiting = { readonly backend: string; begin(): void };

export class FetchLane {
  readonly #limits: FetchLaneLimits;
  readonly #backends: readonly string[];
  /** Places of each backend that no other one takes. */
  readonly #kept: number;
  readonly #waiting: Waiting[] = [];
  readonly #running = new Map<string, number>();

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

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Whether one more of `backend` would neither run nor wait. */
  full(backend: string): boolean {
    const waiting = this.#waiting.filter((one) => one.backend === backend).length;
    return !this.#free(backend) && waiting >= Math.ceil(this.#limits.waitingMax / Math.max(1, this.#backends.length));
  }

  /** Runs `work` when it is its turn. Rejects with the signal's reason where that comes first. */
  async run<T>(backend: string, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#turn(backend, signal);
    try {
      return await work();
    } finally {
      this.#add(backend, -1);
      this.#next();
    }
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
