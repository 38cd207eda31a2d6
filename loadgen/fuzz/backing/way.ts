/**
 * One process's way to the backend: it takes time, is cut by partitions as every other, and ends with the process.
 *
 * Rule 1: a process that hangs hears nothing until it goes on, and one that is dead never does. What it had sent by then
 *   is done all the same.
 * Rule 2: whoever gives up hears of it at once.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import { type Prng, prng } from '../../../core/prng.ts';
import { Around, type BackendCall, type Sending } from '../../../platform/backends/around/around.ts';
import type { Backend, BackendObject, BackendRead, WriteCondition } from '../../../platform/backends/backend.ts';
import type { Process, World } from '../world.ts';
import type { Nature } from './nature.ts';

/** Whose request it is that reaches the backend, which may let it hang for a while first. */
export const sender = new AsyncLocalStorage<Pick<Process, 'alive'>>();

/** How often whoever waits for a partition's end looks. */
const lookMs = 100;

export type WayOptions = {
  readonly world: World;
  readonly process: Process;
  readonly nature: Nature;
  /** Of the backend. */
  readonly host: number;
  readonly seed: number;
};

export class Way extends Around {
  readonly #o: WayOptions;
  readonly #prng: Prng;

  constructor(inner: Backend, options: WayOptions) {
    super(inner);
    this.#o = options;
    this.#prng = prng(options.seed);
  }

  async *read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { nature } = this.#o;
    await this.#trip(signal);
    if (!nature.ranges) await this.#takes(range.start, signal);
    for await (const chunk of this.inner.read(key, range, signal)) {
      await this.#takes(chunk.length, signal);
      yield chunk;
    }
    await this.#open(signal);
  }

  override async put(key: string, bytes: Uint8Array, signal: AbortSignal, at?: WriteCondition): Promise<BackendObject> {
    const { process, nature } = this.#o;
    // What the dead begin is not sent.
    await this.#begun();
    // Where nothing depends on a condition, one of a dead process is not to come after those of the next.
    if (nature.can.conditions) await this.#latency(signal);
    // It was sent, whoever is there to hear the answer.
    if (!process.alive) await this.inner.put(key, bytes, new AbortController().signal, at).catch(() => undefined);
    await this.#open(signal);
    const done = await sender.run(process, () => this.inner.put(key, bytes, signal, at));
    await this.#trip(signal);
    return done;
  }

  protected async around<T>(
    { operation }: BackendCall,
    signal: AbortSignal,
    act: (signal: AbortSignal, sending: Sending) => Promise<T>,
  ): Promise<T> {
    await this.#trip(signal);
    const takes = (bytes: number): Promise<void> => this.#takes(bytes, signal);
    const answer = await act(signal, (source) => ({
      ...source,
      async *read(start, end, reading) {
        for await (const chunk of source.read(start, end, reading)) {
          await takes(chunk.length);
          yield chunk;
        }
      },
    }));
    if (operation !== 'write') await this.#trip(signal);
    return answer;
  }

  async #begun(): Promise<void> {
    if (!this.#o.process.alive) await new Promise<never>(() => undefined);
  }

  async #trip(signal: AbortSignal): Promise<void> {
    await this.#latency(signal);
    await this.#open(signal);
  }

  #latency(signal: AbortSignal): Promise<void> {
    return this.#sleep(this.#prng.unit() * this.#o.nature.latencyMs, signal);
  }

  async #takes(bytes: number, signal: AbortSignal): Promise<void> {
    await this.#sleep((1_000 * bytes) / this.#o.nature.bytesPerS, signal);
    await this.#open(signal);
  }

  /** While the process goes on and reaches the backend. */
  async #open(signal: AbortSignal): Promise<void> {
    const { world, process, host } = this.#o;
    while (process.hangs === true || !world.connected(process.host, host)) {
      if (!process.alive) break;
      await this.#sleep(lookMs, signal);
    }
    if (!process.alive) await new Promise<never>(() => undefined);
    signal.throwIfAborted();
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const rings = this.#o.world.after(ms, resolve);
    const aborted = (): void => {
      rings.dead = true;
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', aborted, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', aborted);
    }
  }
}
