/**
 * Writes the outbox back: for each backend a lane of its own, so that one that is down holds up none of the others.
 *
 * Rule 1: one row of a key at a time, and always its newest version. What failed is tried again after a back-off with full
 *   jitter, for as long as it takes; what waits for a blob is looked at sooner.
 * Rule 2: a row goes when the backend has it, or something newer; then that is brought here.
 */

import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Prng } from '../../../core/prng.ts';
import { backoffMs } from '../../../core/retry/retry.ts';
import { BackendError } from '../../../platform/backends/backend.ts';
import type { TagsBacked } from '../../../platform/backends/backends.ts';
import type { OutboxKey, OutboxRow } from '../../../platform/tags/outbox.ts';
import type { TagStore } from '../../../platform/tags/store.ts';
import type { Logger } from '../../../platform/telemetry/log.ts';
import { OutboxLoop } from '../../outbox/loop.ts';
import type { TargetLane, Why } from '../../outbox/queue.ts';
import { Whys } from '../../outbox/whys.ts';
import { Bringer } from '../adopt.ts';
import type { BackingMetrics } from '../metrics.ts';
import { DOWN } from '../through.ts';
import { type Confirmation, Confirming } from './confirming.ts';
import { Recent, RowWriter } from './write.ts';

/** Rows of a backend under way at once; its own limits hold as well. */
const rowsMax = 16;
/** A tag waits for the blobs of its push, which origins write back meanwhile: it is late by half of what that took, or so. */
const waitAgain = { delayMs: 500, delayMsMax: 300_000 };
const rowAgain = { delayMs: 1_000, delayMsMax: 300_000 };
/** What no attempt may exceed: one that hangs in its backend has failed long before. */
const attemptMsMax = 120_000;
/** How soon a write that waits for its backend hears that another index has brought it there. */
const confirmLookMs = 200;
/** Digests and manifests that the backend was seen to hold. */
const seenMax = 50_000;
/** Failures of a row between two lines in the log. */
const toldEvery = 10;

export type WriteBackParts = {
  readonly store: TagStore;
  readonly backed: TagsBacked;
  readonly log: Logger;
  readonly metrics: BackingMetrics;
  /** Of the clock on the wall: rows outlive the process. */
  readonly nowMs: () => number;
  readonly random: Prng;
};

export class OutboxLane implements AsyncDisposable, TargetLane {
  readonly #parts: WriteBackParts;
  readonly #there = new Recent(seenMax);
  readonly #confirming: Confirming;
  readonly #whys = new Whys();
  readonly #loop: OutboxLoop;
  /** Of the backend as a whole, while its rows are left alone for it. */
  #down: Why | undefined;

  constructor(parts: WriteBackParts) {
    this.#parts = parts;
    this.#confirming = new Confirming(parts.store);
    this.#loop = new OutboxLoop({
      ...parts,
      target: parts.backed.name,
      rowsMax,
      one: (row, signal) => this.#one(row, signal),
      tell: parts.metrics.waiting,
      beside: async () => {
        await this.#confirming.look();
        return this.#confirming.some ? confirmLookMs : undefined;
      },
    });
    this.#loop.start();
  }

  kick(): void {
    this.#loop.kick();
  }

  wake(): void {
    this.#loop.wake();
  }

  /** Why a row was not written the last time, as far as this process has tried it; or why its backend's rows are not tried. */
  why(key: OutboxKey): Why | undefined {
    return this.#whys.of(key) ?? this.#down;
  }

  /** Once the backend has this row, or what replaced it. Rejects with the signal's reason. */
  confirmed(row: OutboxRow, signal: AbortSignal): Promise<Confirmation> {
    const confirmed = this.#confirming.of(row, signal);
    // Whoever waits has it tried now, whatever was before.
    this.wake();
    return confirmed;
  }

  /** What is under way ends; its rows stay where they are not written. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#loop[Symbol.asyncDispose]();
  }

  async #one(row: OutboxRow, stop: AbortSignal): Promise<void> {
    const { store, backed, metrics } = this.#parts;
    const signal = AbortSignal.any([stop, AbortSignal.timeout(attemptMsMax)]);
    try {
      const outcome = await new RowWriter({ backed, store, signal, there: this.#there }).write(row);
      this.#loop.back();
      this.#down = undefined;
      if (outcome.kind === 'waits') {
        const message = `${backed.name} has no ${backed.blobKey(outcome.for, row.repo)} yet`;
        return await this.#again(row, { cause: 'waiting', message }, waitAgain);
      }
      if (outcome.kind === 'newer') await this.#giveWay(row, outcome.record.version, signal);
      else metrics.written(backed.name, row.kind);
      await store.written(row);
      this.#whys.forget(row);
      this.#confirming.heard(row, outcome.kind === 'newer' ? 'newer' : 'written');
    } catch (error) {
      if (!stop.aborted) await this.#failed(row, error);
    }
  }

  /** What counts there is brought here. Where it cannot be used, what is here stays until it can. */
  async #giveWay(row: OutboxRow, theirs: TagVersion, signal: AbortSignal): Promise<void> {
    const { store, backed, log, metrics, nowMs } = this.#parts;
    const { repo, kind, name, version } = row;
    const bringer = new Bringer({ store, backed, nowMs });
    const brought = kind === 'tag' ? await bringer.tag(repo, name, signal) : undefined;
    await store.seen(theirs);
    metrics.gaveWay(backed.name);
    log.warn(
      { backend: backed.name, repo, kind, name, version, theirs, brought },
      'a later write of another cluster counts',
    );
  }

  async #failed(row: OutboxRow, error: unknown): Promise<void> {
    const { backed, log, metrics } = this.#parts;
    const cause = error instanceof BackendError ? error.why : timedOut(error) ? 'stalled' : 'error';
    const why = { cause, message: (error as Error).message };
    metrics.failed(backed.name, cause);
    if (DOWN.has(cause)) {
      this.#down = why;
      this.#loop.away(error instanceof BackendError ? error.afterMs : undefined);
    }
    if (row.attempts % toldEvery === 0) {
      const { repo, kind, name, attempts } = row;
      // A backend's own words are enough; what is not one's is a fault of ours, and its stack tells where.
      const what = error instanceof BackendError ? { cause, why: error.message } : { err: error };
      log.warn({ ...what, backend: backed.name, repo, kind, name, attempts }, 'not written back yet');
    }
    await this.#again(row, why, rowAgain);
  }

  async #again(row: OutboxRow, why: Why, policy: { delayMs: number; delayMsMax: number }): Promise<void> {
    const { store, nowMs, random } = this.#parts;
    const { cause } = why;
    this.#whys.remember(row, why);
    const bound = backoffMs(policy, row.attempts + 1);
    await store.failed(row, { cause, dueMs: Math.ceil(nowMs() + bound * (0.5 + random.unit() / 2)) });
  }
}

function timedOut(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError';
}
