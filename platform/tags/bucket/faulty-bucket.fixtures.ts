/**
 * A bucket whose requests fail, for tests of what is written in it: one that is shared by processes, each of which sees it
 * through a `FaultyBucket` of its own.
 *
 * A write that fails was made, or was not, or is made later: in any case its writer is told that nobody answers. A process
 * that has crashed is answered nothing any more.
 */

import type { Prng } from '../../../core/prng.ts';
import { BackendError, type WriteCondition } from '../../backends/backend.ts';
import { type ConditionalObjects, conditionalObjects } from '../../backends/conditional.ts';
import { MemoryBackend } from '../../backends/memory.ts';

/** The bucket itself, with writes that are on their way to it. */
export class SharedBucket {
  readonly objects = conditionalObjects(new MemoryBackend('bucket'));
  readonly #late: (() => Promise<unknown>)[] = [];

  later(write: () => Promise<unknown>): void {
    this.#late.push(write);
  }

  /** What was on its way arrives, in whatever order. */
  async arrive(prng: Prng): Promise<void> {
    while (this.#late.length > 0) {
      const [write] = this.#late.splice(prng.below(this.#late.length), 1);
      await write?.().catch(() => undefined);
    }
  }
}

export type FaultyBucketOptions = {
  readonly prng: Prng;
  /** Requests in a hundred that fail. */
  readonly failPercent?: number;
  /** The process crashes at the write of that number, from 0 on; it is made, or not. */
  readonly crashAt?: number | undefined;
  readonly crashMakes?: boolean;
  /** A request comes after so many turns at most. */
  readonly turnsMax?: number;
};

const turnsMaxDefault = 4;

export class FaultyBucket implements ConditionalObjects {
  readonly name = 'faulty';
  readonly #shared: SharedBucket;
  readonly #options: FaultyBucketOptions;
  failPercent: number;
  crashed = false;
  /** Requests that change something, and all. */
  writes = 0;
  asked = 0;

  constructor(shared: SharedBucket, options: FaultyBucketOptions) {
    this.#shared = shared;
    this.#options = options;
    this.failPercent = options.failPercent ?? 0;
  }

  async load(key: string, signal: AbortSignal) {
    await this.#turn();
    if (this.#fails()) throw this.#silent();
    return await this.#shared.objects.load(key, signal);
  }

  async list(...args: Parameters<ConditionalObjects['list']>) {
    await this.#turn();
    if (this.#fails()) throw this.#silent();
    return await this.#shared.objects.list(...args);
  }

  put(key: string, bytes: Uint8Array, signal: AbortSignal, condition: WriteCondition) {
    return this.#write(() => this.#shared.objects.put(key, bytes, signal, condition));
  }

  remove(key: string, signal: AbortSignal): Promise<void> {
    return this.#write(() => this.#shared.objects.remove(key, signal));
  }

  async #write<T>(act: () => Promise<T>): Promise<T> {
    await this.#turn();
    const { crashAt, crashMakes, prng } = this.#options;
    if (this.writes++ === crashAt) {
      this.crashed = true;
      if (crashMakes) await act().catch(() => undefined);
      throw this.#silent();
    }
    if (!this.#fails()) return await act();
    const fate = prng.below(3);
    if (fate === 0) await act().catch(() => undefined);
    if (fate === 1) this.#shared.later(act);
    throw this.#silent();
  }

  /** Requests of several callers come in any order. */
  async #turn(): Promise<void> {
    this.asked += 1;
    const { prng, turnsMax = turnsMaxDefault } = this.#options;
    for (let turns = prng.below(turnsMax); turns > 0; turns--) await undefined;
    if (this.crashed) throw this.#silent();
  }

  #fails(): boolean {
    return this.#options.prng.below(100) < this.failPercent;
  }

  #silent(): BackendError {
    return new BackendError('unavailable', 'faulty: nobody answers');
  }
}

/** A process that is never held up, however busy the machine is. */
export const neverHeldUp = { since: () => false, [Symbol.dispose]: () => undefined };
