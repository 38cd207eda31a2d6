/**
 * A backend of which no more is asked at once than its rule says, nor faster.
 *
 * Rule 1: reads and writes have places of their own, and so have questions (stat, list, remove), that no transfer keeps
 *         waiting. Who waits has its turn in order; more than `waitingMax` are told to come again.
 * Rule 2: limits of the whole cluster are divided by the origins that live, as they are now.
 */

import type { Clock } from '../../net/clock.ts';
import { type Backend, BackendError, type BackendRead, type ObjectSource } from '../backend.ts';
import { Around, type BackendCall, type Sending } from './around.ts';
import { RateBucket } from './bucket.ts';
import { Places } from './places.ts';

/** Each is a request of somebody, who gives up sooner than so many had their turn. */
const waitingMax = 1024;
/** Questions are short; they may be as many as this for each read. */
const questionsPerRead = 4;

export type LimitedOptions = {
  readonly limits: {
    readonly reads: number;
    readonly writes: number;
    readonly up?: number | undefined;
    readonly down?: number | undefined;
    readonly of: 'origin' | 'cluster';
  };
  /** How many processes share limits of the cluster: the origins that live, this one included. */
  readonly sharers: () => number;
  readonly clock: Clock;
};

export class Limited extends Around {
  readonly #reads: Places;
  readonly #writes: Places;
  readonly #questions: Places;
  readonly #up: RateBucket | undefined;
  readonly #down: RateBucket | undefined;

  constructor(inner: Backend, { limits, sharers, clock }: LimitedOptions) {
    super(inner);
    const part = (whole: number): number => (limits.of === 'cluster' ? whole / Math.max(1, sharers()) : whole);
    const places = (whole: number): Places => new Places(() => Math.max(1, Math.floor(part(whole))), waitingMax);
    const bucket = (rate: number | undefined): RateBucket | undefined =>
      rate === undefined ? undefined : new RateBucket(clock, () => part(rate));
    this.#reads = places(limits.reads);
    this.#writes = places(limits.writes);
    this.#questions = places(limits.reads * questionsPerRead);
    this.#up = bucket(limits.up);
    this.#down = bucket(limits.down);
  }

  async *read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    using _ = await this.#place(this.#reads, { operation: 'read', key }, signal);
    for await (const chunk of this.inner.read(key, range, signal)) {
      await this.#down?.take(chunk.length, signal);
      yield chunk;
    }
  }

  protected async around<T>(
    call: BackendCall,
    signal: AbortSignal,
    act: (signal: AbortSignal, sending: Sending) => Promise<T>,
  ): Promise<T> {
    const writes = call.operation === 'write' || call.operation === 'put';
    using _ = await this.#place(writes ? this.#writes : this.#questions, call, signal);
    return await act(signal, (source) => this.#sending(source));
  }

  async #place(places: Places, { operation, key }: BackendCall, signal: AbortSignal): Promise<Disposable> {
    const place = await places.take(signal);
    if (place !== undefined) return place;
    const text = `${this.name}: ${key}: ${waitingMax} requests wait for their turn to ${operation} already: raise the backend's limits, or see why it is slow`;
    throw new BackendError('throttled', text);
  }

  #sending(source: ObjectSource): ObjectSource {
    const up = this.#up;
    if (up === undefined) return source;
    return {
      ...source,
      async *read(start, end, signal) {
        for await (const chunk of source.read(start, end, signal)) {
          await up.take(chunk.length, signal);
          yield chunk;
        }
      },
    };
  }
}
