/**
 * A backend that is asked again: after a pause drawn below an exponential bound, by cause, so often and no longer
 * (core/retry). What another attempt does not change is told at once.
 *
 * Rule 1: a backend that throttles is left alone by all requests, for as long as it asks and longer each time, and not only
 *         by the one that it refused; for others than that one no longer than `quietForAllMsMax`, since it may speak of one object.
 * Rule 2: a read goes on where it stopped, of the same version: where none was named, only if no byte was given yet.
 * Rule 3: a conditional `put` that was not answered may have been done: where the next attempt finds the object changed,
 *         what is there is read and compared. Who put the same bytes meanwhile cannot be told apart.
 * Rule 4: only pauses count towards the time that there is: a large object may take long, and fail at its end.
 */

import type { Prng } from '../../../core/prng.ts';
import { backoffMs, type RetryCause, type RetryPolicies, retryDelayMs } from '../../../core/retry/retry.ts';
import type { Clock } from '../../net/clock.ts';
import {
  type Backend,
  type BackendCause,
  BackendError,
  type BackendObject,
  type BackendRead,
  type WriteCondition,
} from '../backend.ts';
import { Around, type BackendCall, type Sending } from './around.ts';
import { pause } from './pause.ts';

const retried: { readonly [cause in BackendCause]?: RetryCause } = {
  throttled: 'busy',
  unavailable: 'unavailable',
  stalled: 'stalled',
  damaged: 'network',
};
/** For callers that wait: whoever may take hours, as a queue, tries again by itself. */
const policies: RetryPolicies = {
  busy: { delayMs: 250, delayMsMax: 10_000, attemptsMax: 6, withinMs: 30_000 },
  unavailable: { delayMs: 100, delayMsMax: 5_000, attemptsMax: 4, withinMs: 10_000 },
  stalled: { delayMs: 100, delayMsMax: 1_000, attemptsMax: 2, withinMs: 10_000 },
  network: { delayMs: 50, delayMsMax: 1_000, attemptsMax: 3, withinMs: 10_000 },
};
/** Then another request may find out whether all of it is still to be left alone. */
const quietForAllMsMax = 60_000;
/** How long all requests leave a backend alone that throttles, at first and at most; doubled each time in a row. */
const throttled = { delayMs: 250, delayMsMax: 30_000 };
/** A caller waits for no longer quiet: it is told how long it is. */
const quietMsMax = 30_000;
/** Of the quiet, the time over which those who waited for its end come back. */
const quietSpread = 0.25;
/** A read that is cut so often has an end that no patience reaches. */
const cutsMax = 64;

export type PatientOptions = { readonly clock: Clock; readonly prng: Prng };

export class Patient extends Around {
  readonly #clock: Clock;
  readonly #prng: Prng;
  /** Nothing is asked before. */
  #quietUntilMs = Number.NEGATIVE_INFINITY;
  #throttledInRow = 0;

  constructor(inner: Backend, { clock, prng }: PatientOptions) {
    super(inner);
    this.#clock = clock;
    this.#prng = prng;
  }

  async *read(key: string, range: BackendRead, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { end, version } = range;
    let tries = new Tries();
    let at = range.start;
    for (let cuts = 0; ; cuts++) {
      try {
        await this.#quiet(signal);
        for await (const chunk of this.inner.read(key, { start: at, end, version }, signal)) {
          at += chunk.length;
          tries = new Tries();
          yield chunk;
        }
        this.#throttledInRow = 0;
        return;
      } catch (error) {
        const final = at > range.start && (at === end || version === undefined || cuts >= cutsMax);
        await this.#again(final ? undefined : tries, error, signal);
      }
    }
  }

  override async put(
    key: string,
    bytes: Uint8Array,
    signal: AbortSignal,
    condition?: WriteCondition,
  ): Promise<BackendObject> {
    if (condition === undefined) return await super.put(key, bytes, signal);
    let unanswered = false;
    return await this.around({ operation: 'put', key }, signal, async (inner) => {
      try {
        return await this.inner.put(key, bytes, inner, condition);
      } catch (error) {
        const done = unanswered && causeOf(error) === 'changed' ? await this.#same(key, bytes, inner) : undefined;
        if (done !== undefined) return done;
        unanswered ||= ['unavailable', 'stalled'].includes(causeOf(error) ?? '');
        throw error;
      }
    });
  }

  protected async around<T>(
    { operation }: BackendCall,
    signal: AbortSignal,
    act: (signal: AbortSignal, sending: Sending) => Promise<T>,
  ): Promise<T> {
    // A probe tells how it is now. Wrong bytes to be written are wrong again.
    const once = operation === 'probe';
    const sends = operation === 'write' || operation === 'put';
    const tries = new Tries();
    for (;;) {
      try {
        if (!once) await this.#quiet(signal);
        const answer = await act(signal, (source) => source);
        this.#throttledInRow = 0;
        return answer;
      } catch (error) {
        await this.#again(once || (sends && causeOf(error) === 'damaged') ? undefined : tries, error, signal);
      }
    }
  }

  /** Returns when it is time for the next attempt, or throws `error`: there is none. */
  async #again(tries: Tries | undefined, error: unknown, signal: AbortSignal): Promise<void> {
    if (signal.aborted || !(error instanceof BackendError)) throw error;
    if (error.why === 'throttled') this.#leaveAlone(error.afterMs ?? 0);
    const cause = retried[error.why];
    if (tries === undefined || cause === undefined) throw error;
    tries.attempts += 1;
    const failed = { cause, attempts: tries.attempts, elapsedMs: tries.pausedMs, afterMs: error.afterMs };
    const delayMs = retryDelayMs(policies, failed, this.#prng);
    if (delayMs === undefined) throw error;
    tries.pausedMs += delayMs;
    await pause(this.#clock, delayMs, signal);
  }

  #leaveAlone(afterMs: number): void {
    this.#throttledInRow += 1;
    const ms = Math.min(afterMs, quietForAllMsMax) + this.#prng.unit() * backoffMs(throttled, this.#throttledInRow);
    this.#quietUntilMs = Math.max(this.#quietUntilMs, this.#clock.nowMs() + ms);
  }

  /** Returns once the backend may be asked again; not all at the same moment. */
  async #quiet(signal: AbortSignal): Promise<void> {
    for (;;) {
      const ms = this.#quietUntilMs - this.#clock.nowMs();
      if (ms <= 0) return;
      if (ms > quietMsMax)
        throw new BackendError('throttled', `${this.name}: it asked to be left alone for ${Math.ceil(ms / 1000)} s`, {
          afterMs: ms,
        });
      await pause(this.#clock, ms * (1 + this.#prng.unit() * quietSpread), signal);
    }
  }

  /** What is there, if it is what was to be put. */
  async #same(key: string, bytes: Uint8Array, signal: AbortSignal): Promise<BackendObject | undefined> {
    const there = await this.inner.stat(key, signal);
    if (there?.size !== bytes.length) return undefined;
    const read: Uint8Array[] = [];
    const range = { start: 0, end: there.size, version: there.version };
    for await (const chunk of this.inner.read(key, range, signal)) read.push(Uint8Array.from(chunk));
    return Buffer.concat(read).equals(bytes) ? there : undefined;
  }
}

class Tries {
  attempts = 0;
  pausedMs = 0;
}

function causeOf(error: unknown): BackendCause | undefined {
  return error instanceof BackendError ? error.why : undefined;
}
