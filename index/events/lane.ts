/**
 * Tells one receiver of what was written, from the outbox: every write, and those of one repository in their order.
 *
 * Rule 1: an event is told once its receiver has answered 200 to 299; else it is told again, after a back-off with jitter, for
 *   as long as it takes. Told twice is possible (its answer was lost), left out is not.
 * Rule 2: a receiver that refuses an event itself (400 to 499, but for what says "later" or "who are you") `refusalsMax`
 *   times gets it no more: it is dead, an operator has it told again or drops it, and what comes after it goes on.
 * Rule 3: a receiver that is down or hangs is asked with one event at a time, and holds up nobody else.
 * Rule 4: of several indexes on one engine one tells: it holds the row meanwhile, and who dies holds it for `holdMs` more.
 */

import type { Prng } from '../../core/prng.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import { BackendError } from '../../platform/backends/backend.ts';
import type { WebRequester } from '../../platform/backends/web/requester.ts';
import type { WebVerdict } from '../../platform/backends/web/verdicts.ts';
import type { OutboxKey, OutboxRow } from '../../platform/tags/outbox.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { Logger } from '../../platform/telemetry/log.ts';
import type { TargetLane, Why } from '../outbox/queue.ts';
import type { EventEndpoint } from './config.ts';
import { actionOf, type EventOrigin, eventOf, eventsMediaType } from './event.ts';
import type { EventsMetrics } from './metrics.ts';

/** Repositories whose events are told at once. */
const rowsMax = 8;
const rowAgain = { delayMs: 1_000, delayMsMax: 300_000 };
/** Of a receiver that is down. */
const laneAgain = { delayMs: 1_000, delayMsMax: 15_000 };
/** About a quarter of an hour. */
const refusalsMax = 10;
/** How soon a write is told of, and what waits is counted. */
const lookMs = 500;
const tellMs = 5_000;
const holdMs = 15_000;
const holdAgainMs = 5_000;
/** Failures of a row between two lines in the log. */
const toldEvery = 10;

export type EventLaneParts = {
  readonly endpoint: EventEndpoint;
  readonly target: string;
  readonly store: Pick<TagStore, 'claim' | 'hold' | 'written' | 'failed' | 'nextDueMs' | 'manifest' | 'outbox'>;
  readonly web: WebRequester;
  readonly origin: EventOrigin;
  readonly metrics: EventsMetrics;
  readonly log: Pick<Logger, 'warn' | 'error'>;
  /** Of the clock on the wall. */
  readonly nowMs: () => number;
  readonly random: Prng;
  /** Between two attempts of one event. Default: a second, and up to five minutes. */
  readonly again?: typeof rowAgain | undefined;
};

export class EventLane implements AsyncDisposable, TargetLane {
  readonly #parts: EventLaneParts;
  readonly #underWay = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #wake = Promise.withResolvers<void>();
  #failures = 0;
  #pausedUntilMs = 0;
  #tellAtMs = 0;
  #last: Why | undefined;

  constructor(parts: EventLaneParts) {
    this.#parts = parts;
    this.#ended = this.#run();
  }

  wake(): void {
    this.#pausedUntilMs = 0;
    this.#wake.resolve();
  }

  why(_row: OutboxKey): Why | undefined {
    return this.#last;
  }

  /** What is being told is given up; its rows stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the index is stopping'));
    this.wake();
    await this.#ended;
    await Promise.allSettled(this.#underWay);
  }

  async #run(): Promise<void> {
    const { target, log } = this.#parts;
    while (!this.#stop.signal.aborted) {
      this.#wake = Promise.withResolvers();
      try {
        await this.#begin();
        await this.#count();
      } catch (error) {
        if (!this.#stop.signal.aborted) log.error({ err: error, target }, 'the outbox cannot be read');
      }
      await this.#sleep();
    }
  }

  async #begin(): Promise<void> {
    const { store, target, nowMs } = this.#parts;
    const now = nowMs();
    const n = this.#failures > 0 ? 1 - Math.min(1, this.#underWay.size) : rowsMax - this.#underWay.size;
    if (n <= 0 || now < this.#pausedUntilMs) return;
    const nextMs = await store.nextDueMs(target);
    if (nextMs === undefined || nextMs > now) return;
    for (const row of await store.claim(target, { nowMs: now, n, untilMs: now + holdMs })) {
      const one = this.#one(row).finally(() => {
        this.#underWay.delete(one);
        this.#wake.resolve();
      });
      this.#underWay.add(one);
    }
  }

  async #count(): Promise<void> {
    const { store, metrics, target, endpoint, nowMs } = this.#parts;
    if (performance.now() < this.#tellAtMs) return;
    this.#tellAtMs = performance.now() + tellMs;
    const mine = (await store.outbox()).filter((state) => state.target === target);
    metrics.waiting(endpoint.name, mine, nowMs());
  }

  async #sleep(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, lookMs);
    await Promise.race([promise, this.#wake.promise]);
    clearTimeout(timer);
  }

  async #one(row: OutboxRow): Promise<void> {
    const { store, endpoint, origin, metrics, nowMs } = this.#parts;
    const hold = setInterval(() => void store.hold([row], nowMs() + holdMs).catch(() => undefined), holdAgainMs);
    try {
      const action = actionOf(row, origin.database);
      if (endpoint.actions.includes(action)) {
        await this.#tell(row);
        metrics.told(endpoint.name, action);
      }
      await store.written(row);
      this.#failures = 0;
      this.#last = undefined;
    } catch (error) {
      await this.#failed(row, error).catch((failure: unknown) => {
        if (!this.#stop.signal.aborted) this.#parts.log.error({ err: failure }, 'the outbox cannot be written');
      });
    } finally {
      clearInterval(hold);
    }
  }

  async #tell(row: OutboxRow): Promise<void> {
    const { store, endpoint, web, origin } = this.#parts;
    const record = row.digest === null ? undefined : await store.manifest(row.repo, row.digest);
    const event = eventOf(row, record, origin);
    const answer = await web.request({
      method: 'POST',
      url: new URL(endpoint.url),
      headers: { ...endpoint.headers, 'content-type': eventsMediaType },
      body: Buffer.from(JSON.stringify({ events: [event] })),
      signal: AbortSignal.any([this.#stop.signal, AbortSignal.timeout(endpoint.timeout)]),
      doing: 'tell of',
      object: `${row.repo} ${row.name}`,
      judge: elsewhere,
    });
    await answer.discard();
  }

  async #failed(row: OutboxRow, error: unknown): Promise<void> {
    const { store, endpoint, metrics, log, nowMs, random, again = rowAgain } = this.#parts;
    if (this.#stop.signal.aborted) return void (await store.hold([row], 0));
    const timedOut = error instanceof Error && error.name === 'TimeoutError';
    const cause = error instanceof BackendError ? error.why : timedOut ? 'stalled' : 'error';
    const message = timedOut
      ? `${endpoint.name} has not answered within ${endpoint.timeout} ms`
      : String((error as Error).message);
    this.#last = { cause, message: message.slice(0, 500) };
    metrics.failed(endpoint.name, cause);
    const dead = cause === 'refused' && row.attempts + 1 >= refusalsMax;
    if (cause !== 'refused') {
      this.#failures += 1;
      this.#pausedUntilMs = nowMs() + backoffMs(laneAgain, this.#failures) * (0.5 + random.unit() / 2);
    }
    const { repo, kind, name, attempts } = row;
    if (dead || attempts % toldEvery === 0)
      log.warn(
        { endpoint: endpoint.name, repo, kind, name, attempts, cause, why: message, dead },
        'an event is not told yet',
      );
    const delayMs = backoffMs(again, attempts + 1) * (0.5 + random.unit() / 2);
    await store.failed(row, { cause, dueMs: Math.ceil(nowMs() + delayMs), dead });
  }
}

/** Not of the event, but of where it was sent. */
function elsewhere(status: number): WebVerdict | undefined {
  if (status < 300 || status >= 400) return undefined;
  return { why: 'unsupported', remedy: 'it sends us elsewhere, which is not followed here: name the right address' };
}
