/**
 * How a bucket is asked: so many requests at once, and none in vain.
 *
 * Rule: once a request was waited for in vain, others fail at once, but for one a second that finds out whether the bucket
 *   answers again. Whoever waits for an index is told to come again rather than kept.
 */

import { Places } from '../../../backends/around/places.ts';
import { BackendError } from '../../../backends/backend.ts';
import type { ConditionalObjects } from '../../../backends/conditional.ts';
import type { Time } from '../../../net/clock.ts';

/** A push is some thirty requests, half of them together; more at once make each of them slower, on what a bucket is. */
const atOnceMax = 64;
/** Each is a part of a call, of which there are no more than store.ts says. */
const waitingMax = 20_000;
/** Between two requests to one that hangs. */
const askEveryMs = 1_000;

export function guarded(objects: ConditionalObjects, time: Time): ConditionalObjects {
  const guard = new Guard(objects.name, time);
  return {
    name: objects.name,
    load: (key, signal) => guard.run(signal, () => objects.load(key, signal)),
    put: (key, bytes, signal, condition) => guard.run(signal, () => objects.put(key, bytes, signal, condition)),
    list: (prefix, page, signal) => guard.run(signal, () => objects.list(prefix, page, signal)),
    remove: (key, signal) => guard.run(signal, () => objects.remove(key, signal)),
  };
}

class Guard {
  readonly #name: string;
  readonly #time: Time;
  readonly #places = new Places(() => atOnceMax, waitingMax);
  #hangs: { readonly error: BackendError; askMs: number } | undefined;

  constructor(name: string, time: Time) {
    this.#name = name;
    this.#time = time;
  }

  async run<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
    this.#look();
    using place = await this.#places.take(signal);
    if (place === undefined) throw new BackendError('refused', `${this.#name}: ${waitingMax} requests wait already`);
    this.#ask();
    try {
      const answer = await act();
      this.#hangs = undefined;
      return answer;
    } catch (error) {
      if (error instanceof BackendError && error.why === 'stalled')
        this.#hangs = { error, askMs: this.#hangs?.askMs ?? this.#time.nowMs() + askEveryMs };
      // That is an answer.
      else if (error instanceof BackendError && error.why === 'changed') this.#hangs = undefined;
      throw error;
    }
  }

  #look(): void {
    if (this.#hangs !== undefined && this.#time.nowMs() < this.#hangs.askMs) throw this.#away(this.#hangs.error);
  }

  /** Of those that waited for a place, one asks. */
  #ask(): void {
    this.#look();
    if (this.#hangs !== undefined) this.#hangs.askMs = this.#time.nowMs() + askEveryMs;
  }

  #away(error: BackendError): BackendError {
    return new BackendError('refused', `${this.#name}: not asked, as it does not answer: ${error.message}`, { error });
  }
}
