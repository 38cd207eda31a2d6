/**
 * A backend that is watched: what it says is compared with what it was asked for, and it is not waited for in vain.
 *
 * Rule 1: a size is one that an object can have. A read gives exactly the bytes that were asked for: fewer or more are `damaged`, and no byte more goes out.
 * Rule 2: a call in which the backend moves nothing for `stallMs` is `stalled`, and left, whether it heeds its signal or
 *         not. The time that a reader, or a source, takes is theirs. A write may be silent for longer, since a kind holds
 *         a part in memory and watches its own sockets.
 * Rule 3: what fails is a BackendError, the reason of the caller's signal, or what the caller's own source threw.
 */

import type { Clock } from '../../net/clock.ts';
import {
  type Backend,
  BackendError,
  type BackendObject,
  type BackendPage,
  type BackendRead,
  type ObjectSource,
} from '../backend.ts';
import { Around, type BackendCall, type Sending } from './around.ts';
import { StallWatch } from './stall-watch.ts';

/** As often as `stallMs` a write may move nothing that is seen from here. */
const writeStalls = 4;

export type WatchedOptions = { readonly stallMs: number; readonly clock: Clock };

export class Watched extends Around {
  readonly #options: WatchedOptions;

  constructor(inner: Backend, options: WatchedOptions) {
    super(inner);
    this.#options = options;
  }

  override async stat(key: string, signal: AbortSignal): Promise<BackendObject | undefined> {
    const found = await super.stat(key, signal);
    if (found === undefined || sizeValid(found.size)) return found;
    throw new BackendError('damaged', `${this.name}: ${key} is said to have ${found.size} bytes: look at the object`);
  }

  override async list(
    prefix: string,
    page: { after?: string | undefined; max: number },
    signal: AbortSignal,
  ): Promise<BackendPage> {
    const given = await super.list(prefix, page, signal);
    const problem = problemOf(given, prefix, page.after);
    if (problem !== undefined)
      throw new BackendError(
        'damaged',
        `${this.name}: the list of ${prefix || 'all keys'} ${problem}: it is not to be trusted`,
      );
    return given;
  }

  async *read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    using watch = this.#watch({ operation: 'read', key }, signal);
    const chunks = this.inner.read(key, range, watch.signal)[Symbol.asyncIterator]();
    let at = range.start;
    let ended = false;
    try {
      for (;;) {
        const { done, value } = await this.#said(key, signal, watch.during(chunks.next()));
        ended = done === true;
        if (ended) break;
        const left = range.end - at;
        at += Math.min(value.length, left);
        if (value.length <= left) yield value;
        else if (left > 0) yield value.subarray(0, left);
        if (value.length > left)
          throw this.#damaged(key, `more than the ${range.end - range.start} bytes that were asked for came`);
      }
    } finally {
      // One that hangs does not hear of it; its signal has told it.
      if (!ended) chunks.return?.().then(undefined, () => undefined);
    }
    if (at < range.end) throw this.#damaged(key, `the answer ended ${range.end - at} bytes early`);
  }

  protected async around<T>(
    call: BackendCall,
    signal: AbortSignal,
    act: (signal: AbortSignal, sending: Sending) => Promise<T>,
  ): Promise<T> {
    using watch = this.#watch(call, signal);
    let own: { readonly error: unknown } | undefined;
    const sending = (source: ObjectSource): ObjectSource => ({
      ...source,
      read: (start, end, reading) =>
        watch.reading(source.read(start, end, reading), (error) => {
          own ??= { error };
        }),
    });
    try {
      return await this.#said(call.key, signal, watch.during(act(watch.signal, sending)));
    } catch (error) {
      if (own !== undefined && !signal.aborted) throw own.error;
      throw error;
    }
  }

  #watch({ operation, key }: BackendCall, signal: AbortSignal): StallWatch {
    const { stallMs, clock } = this.#options;
    const ms = operation === 'write' ? writeStalls * stallMs : stallMs;
    const text = `${this.name}: ${key === '' ? '' : `${key}: `}${operation}: nothing moved for ${ms / 1000} s: the backend hangs, or the network between does; it is tried again`;
    return new StallWatch({ clock, ms, signal, stalled: () => new BackendError('stalled', text) });
  }

  async #said<T>(key: string, signal: AbortSignal, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof BackendError) throw error;
      throw new BackendError('unavailable', `${this.name}: ${key}: ${(error as Error).message}`, { error });
    }
  }

  #damaged(key: string, what: string): BackendError {
    return new BackendError('damaged', `${this.name}: ${key}: ${what}: it is read again from there`);
  }
}

function sizeValid(size: number): boolean {
  return Number.isSafeInteger(size) && size >= 0;
}

function problemOf({ objects, next }: BackendPage, prefix: string, after = ''): string | undefined {
  let last = Buffer.from(after);
  for (const [i, { key, size }] of objects.entries()) {
    const bytes = Buffer.from(key);
    if (!sizeValid(size)) return `has ${JSON.stringify(key)} of ${size} bytes`;
    if (!key.startsWith(prefix)) return `has ${JSON.stringify(key)}`;
    if (Buffer.compare(bytes, last) <= 0 && (i > 0 || after !== '')) return `has ${JSON.stringify(key)} out of order`;
    last = bytes;
  }
  if (next !== undefined && after !== '' && Buffer.compare(Buffer.from(next), Buffer.from(after)) <= 0)
    return 'does not end';
  return undefined;
}
