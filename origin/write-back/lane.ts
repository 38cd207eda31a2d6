/**
 * The write-backs to one backend, a few at a time, for as long as the queue has any.
 *
 * Rule 1: rows wait in the queue, and are here only while they are worked on: a process that ends leaves them there.
 * Rule 2: a backend that is down is tried by one row at a time, with back-off, and the others wait untouched.
 * Rule 3: another origin's turn is no failure: the row is looked at again, later and later.
 */

import type { Prng } from '../../core/prng.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import type { Backed } from '../../platform/backends/backends.ts';
import { CallContext } from '../../platform/clients/context.ts';
import type { Clock } from '../../platform/net/clock.ts';
import type { Queue } from '../../platform/queue/queue.ts';
import type { Row } from '../../platform/queue/row.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import type { Confirmations } from './confirmations.ts';
import type { WriteBackCounts } from './metrics.ts';
import { type Owed, owedIn } from './owed.ts';
import type { Turn, Turns } from './turns.ts';
import { failureOf, lookFor, type OpenBlob, upload, type WriteBackFailure } from './upload.ts';

/** Rows worked on at once. How many of them write is the backend's own limit (`limits.writes`): the others ask and look. */
export const rowsMax = 32;
/** A backend that is down. */
const outageAgain = { delayMs: 1_000, delayMsMax: 60_000 };
/** Another origin's turn: most blobs are written within the first. */
const theirsAgain = { delayMs: 400, delayMsMax: 30_000 };
/** The queue is looked at at least so often, whatever was missed. */
const idleMs = 30_000;
/** Rows of which is known how often they waited; the others begin anew. */
const waitsMax = 50_000;

export type LaneOptions = {
  readonly backed: Backed;
  readonly queue: Queue;
  readonly turns: Turns;
  /** How the blob is read; undefined: it is not here whole. */
  readonly find: (owed: Owed) => Promise<OpenBlob | undefined>;
  readonly confirmations: Confirmations;
  readonly counts: WriteBackCounts;
  readonly clock: Clock;
  /** Of the queue's rows. */
  readonly wallMs: () => number;
  readonly random: Prng;
  readonly log: LineLog;
};

type Outcome =
  | { readonly kind: 'uploaded' | 'found' }
  | { readonly kind: 'theirs' }
  | { readonly kind: 'failed'; readonly failure: WriteBackFailure };

export class WriteBackLane {
  readonly #options: LaneOptions;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #waits = new Map<number, number>();
  #timer: Disposable | undefined;
  #looking = false;
  #again = false;
  #closed = false;
  #progress = 0;
  /** Why those whose turn it is do not come to it, as was heard last. */
  #elsewhere: string | undefined;
  #outage: { readonly count: number; readonly untilMs: number; readonly why: string } | undefined;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Grows as long as write-backs go on. */
  get progress(): number {
    return this.#progress;
  }

  /** Rows that are being worked on. */
  get underWay(): number {
    return this.#running.size;
  }

  /** Why the backend takes nothing; undefined: it does, as far as known. */
  get failing(): string | undefined {
    return this.#outage?.why ?? this.#elsewhere;
  }

  /** Nothing new is begun; resolves when what runs has ended, which it does at once where `cut`. */
  async stop(how: 'finish' | 'cut'): Promise<void> {
    this.#again = false;
    this.#timer?.[Symbol.dispose]();
    this.#closed = true;
    if (how === 'cut') this.#stop.abort(new Error('the origin is stopping'));
    await Promise.all(this.#running);
  }

  /** Something may be due. */
  kick(): void {
    if (this.#closed) return;
    this.#again = true;
    if (!this.#looking) void this.#look();
  }

  async #look(): Promise<void> {
    this.#looking = true;
    this.#timer?.[Symbol.dispose]();
    const { queue, backed, log } = this.#options;
    let nextMs = idleMs;
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        const places = this.#places();
        if (places.free === 0) nextMs = places.waitMs;
        if (places.free === 0) break;
        const rows = await queue.take(backed.name, places.free);
        for (const row of rows) this.#start(row);
        nextMs = Math.min(idleMs, (await queue.dueInMs(backed.name)) ?? idleMs);
        // Those that are due and taken are none of those that wait.
        if (nextMs <= 0) nextMs = rows.length === 0 ? theirsAgain.delayMs : 0;
      }
    } catch (error) {
      nextMs = outageAgain.delayMs;
      log.warn({ backend: backed.name, err: error }, 'write-back: the queue could not be read, it is tried again');
    }
    this.#looking = false;
    if (this.#closed) return;
    if (this.#again) return void this.#look();
    this.#timer = this.#options.clock.after(nextMs, () => this.kick());
  }

  #places(): { readonly free: number; readonly waitMs: number } {
    const outage = this.#outage;
    if (outage === undefined) return { free: rowsMax - this.#running.size, waitMs: idleMs };
    const leftMs = outage.untilMs - this.#options.clock.nowMs();
    if (leftMs > 0) return { free: 0, waitMs: leftMs };
    return { free: this.#running.size === 0 ? 1 : 0, waitMs: idleMs };
  }

  #start(row: Row): void {
    const running = this.#work(row).finally(() => {
      this.#running.delete(running);
      this.kick();
    });
    this.#running.add(running);
  }

  /** Never rejects: whatever cannot be written down is done again. */
  async #work(row: Row): Promise<void> {
    const { queue, backed, log } = this.#options;
    try {
      const outcome = await this.#attempt(row).catch((error: unknown) => this.#failed(row, error));
      if (this.#closed && this.#stop.signal.aborted) return await queue.postpone(row, 0);
      if (outcome.kind === 'theirs') return await this.#wait(row);
      if (outcome.kind === 'failed') return await this.#fail(row, outcome.failure);
      await this.#done(row, outcome.kind);
    } catch (error) {
      log.warn(
        { backend: backed.name, key: row.key, err: error },
        'write-back: how it ended could not be written down',
      );
    }
  }

  async #attempt(row: Row): Promise<Outcome> {
    const { backed, find, turns, wallMs } = this.#options;
    const { signal } = this.#stop;
    const owed = owedIn(row);
    if (owed === undefined) return failed('unknown', 'a release that this one does not know wrote the row', true);
    const open = await find(owed);
    const own = { here: open !== undefined, owedMs: wallMs() - row.addedMs };
    const turn = await turns.of(owed, own, CallContext.begin({ signal }));
    this.#elsewhere = turn.kind === 'theirs' ? turn.failing : undefined;
    if (turn.kind === 'theirs') return { kind: 'theirs' };
    const there = await lookFor(backed, owed, signal);
    // A row that was added anew while it was being done: of its own writing this origin knows that it is right.
    const known = turn.kind === 'written' || this.#options.confirmations.lately(row.key);
    if (there === 'there' || (there === 'alike' && known)) return { kind: 'found' };
    if (open === undefined) return lost(owed, turn);
    await upload(backed, { owed, open }, { signal, moved: (bytes) => this.#moved(bytes) });
    return { kind: 'uploaded' };
  }

  #moved(bytes: number): void {
    this.#progress += bytes;
    this.#options.counts.bytes.inc({ backend: this.#options.backed.name }, bytes);
  }

  async #done(row: Row, how: 'uploaded' | 'found'): Promise<void> {
    const { queue, backed, confirmations, counts } = this.#options;
    this.#outage = undefined;
    this.#progress += 1;
    this.#waits.delete(row.id);
    counts.done.inc({ backend: backed.name, how });
    // Before the row goes: who asks in between is told, and leaves no new one.
    confirmations.done(row.key);
    // A row that was added anew meanwhile is looked at once more; the bytes are there all the same.
    await queue.done(row);
  }

  async #wait(row: Row): Promise<void> {
    const waits = (this.#waits.get(row.id) ?? 0) + 1;
    this.#waits.set(row.id, waits);
    if (this.#waits.size > waitsMax) this.#waits.clear();
    const ms = backoffMs(theirsAgain, waits) * (0.5 + this.#options.random.unit() / 2);
    await this.#options.queue.postpone(row, ms);
  }

  #failed(row: Row, error: unknown): Outcome {
    if (this.#stop.signal.aborted) return { kind: 'theirs' };
    try {
      return { kind: 'failed', failure: failureOf(error) };
    } catch {
      // A bug of ours keeps the row, and no other from its turn.
      this.#options.log.error({ key: row.key, err: error }, 'write-back: an error of ours');
      return failed('bug', (error as Error).message, false);
    }
  }

  async #fail(row: Row, failure: WriteBackFailure): Promise<void> {
    const { queue, backed, counts, log, confirmations } = this.#options;
    const { cause, message } = failure;
    counts.failures.inc({ backend: backed.name, cause });
    if (failure.outage) this.#down(failure);
    const dead = await queue.failed(row, failure);
    if (dead) confirmations.failed(row.key, message);
    const about = { backend: backed.name, about: row.about, cause, attempts: row.attempts + 1, why: message };
    const remedy = 'write-back failed for good: see `shoal origin queue`, retry it once the cause is gone';
    if (dead) log.error(about, remedy);
    else log[row.attempts === 0 ? 'warn' : 'debug'](about, 'write-back failed, it is tried again');
  }

  #down({ message, afterMs = 0 }: WriteBackFailure): void {
    const nowMs = this.#options.clock.nowMs();
    // Those that were under way when it began say nothing new.
    if (this.#outage !== undefined && nowMs < this.#outage.untilMs) return;
    const count = (this.#outage?.count ?? 0) + 1;
    const ms = Math.max(afterMs, backoffMs(outageAgain, count) * (0.5 + this.#options.random.unit() / 2));
    this.#outage = { count, untilMs: nowMs + ms, why: message };
  }
}

function failed(cause: string, message: string, final: boolean): Outcome {
  return { kind: 'failed', failure: { cause, message, final, outage: false } };
}

function lost({ digest, backend }: Owed, turn: Turn): Outcome {
  const all = turn.kind === 'nobody' && turn.heard;
  const why = all ? 'no origin holds it whole' : 'it is not whole here, and others that may hold it do not answer';
  return failed('gone', `${backend} has not got ${digest}, and ${why}: push it again`, all);
}
