/**
 * A durable queue of promises: whoever was told that something is done knows that its row is on disk, and the row stays
 * until the work is done, whatever is killed meanwhile.
 *
 * Rule 1: `add` resolves once the rows are on disk. Calls that come while the disk is busy share the next transaction.
 * Rule 2: rows of one lane never wait for those of another.
 * Rule 3: a row that was taken is given to nobody else in this process until `done`, `failed` or `postpone` says how it went;
 *         a process that dies before leaves it as it was.
 * Rule 4: what failed is tried again after an exponential back-off with full jitter, for as long as it takes. Only where
 *         another attempt would end the same does it become dead, after `finalAttemptsMax` of these: then it waits for a
 *         person (`retry`, `drop`). Nothing leaves the queue by itself.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { Prng } from '../../core/prng.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import type { Call, CallArgs, CallName, CallResult, CallRunner } from './calls.ts';
import type { LaneStats, NewRow, Row, RowFailure, RowFilter, RowPage } from './row.ts';
import type { RowRef } from './table.ts';

/** Of a transaction: bounds the time until the next one. */
const groupMax = 500;
/** Calls that wait for the disk; further ones are told to come back. */
const pendingMax = 20_000;
/** A backend that is back is found within this, and one that is down for a day is asked no more often. */
export const rowAgain = { delayMs: 1_000, delayMsMax: 300_000 };
/** A row waits no longer, whatever is asked for: a time of years is a mistake, and one of more is no number of SQLite's. */
export const askedMsMax = 3_600_000;
/** Failures of a kind that another attempt does not change: a few, for who says so may be wrong. */
export const finalAttemptsMax = 8;
/** A clock that jumps back further than this was set. */
const clockBackMs = 1_000;

export type QueueOptions = {
  readonly runner: CallRunner;
  /** Wall clock: rows outlive the process. */
  readonly nowMs: () => number;
  readonly random: Prng;
};

type Pending = Call & { readonly resolve: (value: unknown) => void; readonly reject: (error: unknown) => void };

export class Queue {
  readonly #options: QueueOptions;
  readonly #pending: Pending[] = [];
  readonly #taken = new Map<number, string>();
  #running: Promise<void> | undefined;
  #lastMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: QueueOptions) {
    this.#options = options;
  }

  /** ApiError STORAGE_FULL: none of them is there. */
  async add(rows: readonly NewRow[]): Promise<void> {
    await this.#call('add', rows, this.#nowMs());
  }

  /** Up to `limit` rows of the lane that are due and not taken; they are taken now. */
  async take(lane: string, limit: number): Promise<Row[]> {
    const taken = [...this.#taken.values()].filter((one) => one === lane).length;
    const due = await this.#call('due', lane, { nowMs: this.#nowMs(), limit: limit + taken });
    const free = due.filter(({ id }) => !this.#taken.has(id)).slice(0, limit);
    for (const { id } of free) this.#taken.set(id, lane);
    return free;
  }

  /** How long until a row of the lane may be due; undefined: it has none. */
  async dueInMs(lane: string): Promise<number | undefined> {
    const nowMs = this.#nowMs();
    const next = await this.#call('nextDueMs', lane);
    return next === undefined ? undefined : Math.max(0, next - nowMs);
  }

  /** False: it was added anew meanwhile, and is tried again. */
  async done(row: RowRef): Promise<boolean> {
    return await this.#over(row, this.#call('done', refOf(row)));
  }

  /** Whether it is dead now. */
  async failed(row: Row, { cause, message, final, afterMs = 0 }: RowFailure): Promise<boolean> {
    const attempts = row.attempts + 1;
    const dead = final && attempts >= finalAttemptsMax;
    const delayMs = Math.max(
      Math.min(afterMs, askedMsMax),
      this.#options.random.unit() * backoffMs(rowAgain, attempts),
    );
    const dueMs = Math.ceil(this.#nowMs() + delayMs);
    await this.#over(row, this.#call('failed', { ...refOf(row), cause, message, dueMs, dead }));
    return dead;
  }

  /** It waits for somebody else, and nothing has failed. */
  async postpone(row: RowRef, ms: number): Promise<void> {
    await this.#over(row, this.#call('postpone', refOf(row), Math.ceil(this.#nowMs() + ms)));
  }

  async get(key: string): Promise<Row | undefined> {
    return await this.#call('get', key);
  }

  /** Which of these some row is about, dead or not. */
  async held(abouts: readonly string[]): Promise<ReadonlySet<string>> {
    return new Set(await this.#call('held', abouts));
  }

  async list(filter: RowFilter, page: { readonly after?: number | undefined; readonly max: number }): Promise<RowPage> {
    return await this.#call('list', filter, page);
  }

  /** Undefined: all dead rows. How many are tried again. */
  async retry(key?: string): Promise<number> {
    return await this.#call('retry', key, this.#nowMs());
  }

  /** Undefined: all dead rows. How many are gone; those that are not dead stay. */
  async drop(key?: string): Promise<number> {
    return await this.#call('drop', key);
  }

  async stats(): Promise<LaneStats[]> {
    return await this.#call('stats');
  }

  /**
   * Its rows are not known to be all that there should be: it is new, or was lost, or was complete as of something else.
   * Until `complete`.
   */
  async fresh(asOf: string): Promise<boolean> {
    return await this.#call('fresh', asOf);
  }

  async complete(asOf: string): Promise<void> {
    await this.#call('complete', asOf);
  }

  /** What waits is still written. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    while (this.#running !== undefined) await this.#running;
    await this.#options.runner[Symbol.asyncDispose]();
  }

  #nowMs(): number {
    const nowMs = this.#options.nowMs();
    if (nowMs < this.#lastMs - clockBackMs || this.#lastMs === Number.NEGATIVE_INFINITY) {
      this.#lastMs = nowMs;
      this.#call('within', nowMs, rowAgain.delayMsMax).catch(() => undefined);
    }
    this.#lastMs = Math.max(nowMs, this.#lastMs);
    return nowMs;
  }

  /** However it went: a row whose outcome could not be written is due, and is tried again. */
  async #over<T>({ id }: RowRef, written: Promise<T>): Promise<T> {
    try {
      return await written;
    } finally {
      this.#taken.delete(id);
    }
  }

  #call<N extends CallName>(name: N, ...args: CallArgs<N>): Promise<CallResult<N>> {
    if (this.#closed) return Promise.reject(new ApiError('UNAVAILABLE', 'the queue is closing: try again'));
    if (this.#pending.length >= pendingMax)
      return Promise.reject(
        new ApiError('TOOMANYREQUESTS', `${pendingMax} calls wait for the queue's disk: try again`),
      );
    return new Promise<CallResult<N>>((resolve, reject) => {
      this.#pending.push({ name, args, resolve: resolve as (value: unknown) => void, reject });
      this.#running ??= this.#run();
    });
  }

  async #run(): Promise<void> {
    // Whoever calls in this turn is in the first group.
    await new Promise(setImmediate);
    while (this.#pending.length > 0) await this.#group(this.#pending.splice(0, groupMax));
    this.#running = undefined;
  }

  async #group(group: readonly Pending[]): Promise<void> {
    try {
      const outcomes = await this.#options.runner.run(group.map(({ name, args }) => ({ name, args })));
      for (const [i, { resolve, reject }] of group.entries()) {
        const outcome = 'failed' in outcomes ? { refused: outcomes.failed } : outcomes[i];
        if (outcome === undefined) reject(new ApiError('UNAVAILABLE', 'the queue has ended: try again'));
        else if ('refused' in outcome) reject(new ApiError(outcome.refused.code, outcome.refused.message));
        else resolve(outcome.value);
      }
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }
}

function refOf({ id, revision }: RowRef): RowRef {
  return { id, revision };
}
