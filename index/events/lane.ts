/**
 * Tells one receiver of what was written, from the outbox: every write, and those of one repository in their order.
 *
 * Rule 1: an event is told once its receiver has answered 200 to 299; else it is told again, after a back-off with jitter, for
 *   as long as it takes. Told twice is possible (its answer was lost), left out is not.
 * Rule 2: a receiver that refuses an event itself (400 to 499, but for what says "later" or "who are you") `refusalsMax`
 *   times gets it no more: it is dead, an operator has it told again or drops it, and what comes after it goes on.
 * Rule 3: a receiver that is down or hangs is asked with one event at a time, and holds up nobody else.
 */

import type { Prng } from '../../core/prng.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import { BackendError } from '../../platform/backends/backend.ts';
import type { WebRequester } from '../../platform/backends/web/requester.ts';
import type { WebVerdict } from '../../platform/backends/web/verdicts.ts';
import type { OutboxKey, OutboxRow } from '../../platform/tags/outbox.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { Logger } from '../../platform/telemetry/log.ts';
import { awayAgain, type LoopStore, OutboxLoop } from '../outbox/loop.ts';
import type { TargetLane, Why } from '../outbox/queue.ts';
import type { EventEndpoint } from './config.ts';
import { actionOf, type EventOrigin, eventOf, eventsMediaType } from './event.ts';
import type { EventsMetrics } from './metrics.ts';

/** Repositories whose events are told at once. */
const rowsMax = 8;
const rowAgain = { delayMs: 1_000, delayMsMax: 300_000 };
/** About a quarter of an hour. */
const refusalsMax = 10;
/** Failures of a row between two lines in the log. */
const toldEvery = 10;

export type EventLaneParts = {
  readonly endpoint: EventEndpoint;
  readonly target: string;
  readonly store: LoopStore & Pick<TagStore, 'written' | 'failed' | 'manifest'>;
  readonly web: WebRequester;
  readonly origin: EventOrigin;
  readonly metrics: EventsMetrics;
  readonly log: Pick<Logger, 'warn' | 'error'>;
  /** Of the clock on the wall. */
  readonly nowMs: () => number;
  readonly random: Prng;
  /** Between two attempts of an event that is refused. Default: a second, and up to five minutes. */
  readonly again?: typeof rowAgain | undefined;
};

export class EventLane implements AsyncDisposable, TargetLane {
  readonly #parts: EventLaneParts;
  readonly #loop: OutboxLoop;
  #last: Why | undefined;

  constructor(parts: EventLaneParts) {
    const { metrics, endpoint, target } = parts;
    this.#parts = parts;
    this.#loop = new OutboxLoop({
      ...{ ...parts, rowsMax },
      one: (row, signal) => this.#one(row, signal),
      tell: (states, nowMs) =>
        metrics.waiting(
          endpoint.name,
          states.filter((state) => state.target === target),
          nowMs,
        ),
    });
    this.#loop.start();
  }

  kick(): void {
    this.#loop.kick();
  }

  wake(): void {
    this.#loop.wake();
  }

  why(_row: OutboxKey): Why | undefined {
    return this.#last;
  }

  /** What is being told is given up; its rows stay. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#loop[Symbol.asyncDispose]();
  }

  async #one(row: OutboxRow, stop: AbortSignal): Promise<void> {
    const { store, endpoint, origin, metrics } = this.#parts;
    try {
      const action = actionOf(row, origin.database);
      if (endpoint.actions.includes(action)) {
        await this.#tell(row, stop);
        metrics.told(endpoint.name, action);
      }
      await store.written(row);
      this.#loop.back();
      this.#last = undefined;
    } catch (error) {
      if (!stop.aborted) await this.#failed(row, error);
    }
  }

  async #tell(row: OutboxRow, stop: AbortSignal): Promise<void> {
    const { store, endpoint, web, origin } = this.#parts;
    const record = row.digest === null ? undefined : await store.manifest(row.repo, row.digest);
    const event = eventOf(row, record, origin);
    const answer = await web.request({
      method: 'POST',
      url: new URL(endpoint.url),
      headers: { ...endpoint.headers, 'content-type': eventsMediaType },
      body: Buffer.from(JSON.stringify({ events: [event] })),
      signal: AbortSignal.any([stop, AbortSignal.timeout(endpoint.timeout)]),
      doing: 'tell of',
      object: `${row.repo} ${row.name}`,
      judge: elsewhere,
    });
    await answer.discard();
  }

  async #failed(row: OutboxRow, error: unknown): Promise<void> {
    const { store, endpoint, metrics, log, nowMs, random, again = rowAgain } = this.#parts;
    const timedOut = error instanceof Error && error.name === 'TimeoutError';
    const cause = error instanceof BackendError ? error.why : timedOut ? 'stalled' : 'error';
    const message = timedOut
      ? `${endpoint.name} has not answered within ${endpoint.timeout} ms`
      : String((error as Error).message);
    this.#last = { cause, message: message.slice(0, 500) };
    metrics.failed(endpoint.name, cause);
    const dead = cause === 'refused' && row.attempts + 1 >= refusalsMax;
    if (cause !== 'refused') this.#loop.away(error instanceof BackendError ? error.afterMs : undefined);
    const { repo, kind, name, attempts } = row;
    if (dead || attempts % toldEvery === 0)
      log.warn(
        { endpoint: endpoint.name, repo, kind, name, attempts, cause, why: message, dead },
        'an event is not told yet',
      );
    const delayMs = backoffMs(cause === 'refused' ? again : awayAgain, attempts + 1) * (0.5 + random.unit() / 2);
    await store.failed(row, { cause, dueMs: Math.ceil(nowMs() + delayMs), dead });
  }
}

/** Not of the event, but of where it was sent. */
function elsewhere(status: number): WebVerdict | undefined {
  if (status < 300 || status >= 400) return undefined;
  return { why: 'unsupported', remedy: 'it sends us elsewhere, which is not followed here: name the right address' };
}
