/**
 * What waits for one remote, brought there: so many rows at once, for as long as it takes.
 *
 * Rule 1: a remote that is down, or unfit, is left alone as a whole, and tried with one row now and then; that costs no row
 *   its place, and none is ever given up for it.
 * Rule 2: a row that the remote itself refuses, again and again, is dead: it waits for an operator, or a newer write.
 */

import type { Prng } from '../../core/prng.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import type { OutboxKey, OutboxRow } from '../../platform/tags/outbox.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { Logger } from '../../platform/telemetry/log.ts';
import { awayAgain, type LoopStore, OutboxLoop } from '../outbox/loop.ts';
import type { TargetLane, Why } from '../outbox/queue.ts';
import { Whys } from '../outbox/whys.ts';
import type { RowDone, RowSender } from './copy/row.ts';
import { type SendFailure, sendFailureOf } from './failures.ts';
import type { RemoteMetrics } from './metrics.ts';
import type { RemoteRegistry } from './remote/remote.ts';

/** Rows under way at once: most tags need nothing but themselves; the blobs have places of their own. */
const rowsMax = 16;
/** Of a row that failed: the remote refuses it, or something of it is not to be had. */
const rowAgain = { delayMs: 1_000, delayMsMax: 300_000 };
/** Refusals in a row until a row is dead: some minutes, in which somebody may have mended it. */
const refusalsMax = 8;
const toldEvery = 10;

export type LaneParts = {
  readonly target: string;
  readonly remote: RemoteRegistry;
  readonly store: LoopStore & Pick<TagStore, 'written' | 'failed'>;
  readonly sender: Pick<RowSender, 'send'>;
  readonly log: Logger;
  readonly metrics: RemoteMetrics;
  /** Of the engine: rows outlive the process. */
  readonly nowMs: () => number;
  readonly random: Prng;
};

export class RemoteLane implements AsyncDisposable, TargetLane {
  readonly #parts: LaneParts;
  readonly #whys = new Whys();
  readonly #loop: OutboxLoop;
  /** Why the remote as a whole is left alone. */
  down: SendFailure | undefined;

  constructor(parts: LaneParts) {
    const { metrics, target } = parts;
    this.#parts = parts;
    this.#loop = new OutboxLoop({
      ...{ ...parts, rowsMax },
      one: (row, signal) => this.#one(row, signal),
      ready: (signal) => this.#fit(signal),
      tell: (states, nowMs) =>
        metrics.waiting(
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
    this.#parts.remote.doubt();
    this.#loop.wake();
  }

  /** Why a row failed last, as far as this process has tried it. */
  why(key: OutboxKey): Why | undefined {
    return this.#whys.of(key) ?? this.down;
  }

  /** What is under way is broken off; its rows stay, and others may go on with them at once. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#loop[Symbol.asyncDispose]();
  }

  /** Whether the remote is one that takes what we send. */
  async #fit(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#parts.remote.introduced(signal);
      return true;
    } catch (error) {
      if (!signal.aborted) this.#away(sendFailureOf(error));
      return false;
    }
  }

  async #one(row: OutboxRow, signal: AbortSignal): Promise<void> {
    const { sender, store, metrics } = this.#parts;
    try {
      const done = await sender.send(row, { signal, held: () => this.#loop.held() });
      this.#back();
      await store.written(row);
      this.#whys.forget(row);
      metrics.done(done);
      this.#log(row, done);
    } catch (error) {
      if (!signal.aborted) await this.#failed(row, error);
    }
  }

  async #failed(row: OutboxRow, error: unknown): Promise<void> {
    const { log, metrics, nowMs, random, remote, store } = this.#parts;
    const failure = sendFailureOf(error);
    const { cause, message, of } = failure;
    metrics.failed(cause);
    this.#whys.remember(row, failure);
    if (of === 'remote') this.#away(failure);
    else if (of === 'row') remote.doubt();
    const attempts = row.attempts + 1;
    const dead = of === 'row' && attempts >= refusalsMax;
    // What waits for another row is no failure yet at its first attempt.
    if (dead || row.attempts % toldEvery === (of === 'later' ? 1 : 0)) {
      const { repo, kind, name } = row;
      const what = of === 'error' ? { err: error } : { cause, why: message };
      const words = dead
        ? 'not replicated, and not tried again by itself: shoal replicate retry'
        : 'not replicated yet';
      log[dead ? 'error' : 'warn']({ ...what, remote: remote.name, repo, kind, name, attempts }, words);
    }
    const bound = backoffMs(of === 'remote' || of === 'origins' ? awayAgain : rowAgain, attempts);
    const dueMs = Math.ceil(nowMs() + bound * (0.5 + random.unit() / 2));
    await store.failed(row, { cause, dueMs, dead });
  }

  #away(failure: SendFailure): void {
    const { log, metrics, remote } = this.#parts;
    if (this.down?.cause !== failure.cause)
      log.warn({ remote: remote.name, cause: failure.cause, why: failure.message }, 'the remote is left alone');
    this.down = failure;
    remote.doubt();
    metrics.up(false);
    this.#loop.away(failure.afterMs);
  }

  #back(): void {
    if (this.down !== undefined) this.#parts.log.info({ remote: this.#parts.remote.name }, 'the remote is back');
    this.down = undefined;
    this.#loop.back();
    this.#parts.metrics.up(true);
  }

  #log({ repo, kind, name, version, digest }: OutboxRow, done: RowDone): void {
    const { log, remote } = this.#parts;
    const about = { remote: remote.name, repo, kind, name, version, digest };
    if (done === 'sent' || done === 'deleted') log.info(about, `replicated: ${done}`);
    else log.debug(about, `nothing to replicate: ${done}`);
  }
}
