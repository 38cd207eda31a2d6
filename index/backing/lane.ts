/**
 * Writes the outbox back: for each backend a lane of its own, so that one that is down holds up none of the others.
 *
 * Rule 1: one row of a key at a time, and always its newest version. What failed is tried again after a back-off with full
 *   jitter, for as long as it takes; what waits for a blob is looked at sooner.
 * Rule 2: where a backend fails as a whole its lane pauses, however many rows are due.
 * Rule 3: a row goes when the backend has it, or something newer; then that is brought here.
 */

import type { TagVersion } from '../../core/contracts/index-api.ts';
import type { Prng } from '../../core/prng.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import { BackendError } from '../../platform/backends/backend.ts';
import type { TagsBacked } from '../../platform/backends/backends.ts';
import type { OutboxKey, OutboxRow } from '../../platform/tags/outbox.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import { newer } from '../../platform/tags/versions.ts';
import type { Logger } from '../../platform/telemetry/log.ts';
import { Bringer } from './adopt.ts';
import type { BackingMetrics } from './metrics.ts';
import { DOWN } from './through.ts';
import { Recent, RowWriter } from './write.ts';

/** Rows of a backend under way at once; its own limits hold as well. */
const rowsMax = 16;
/** A tag waits for the blobs of its push, which origins write back meanwhile: it is late by half of what that took, or so. */
const waitAgain = { delayMs: 500, delayMsMax: 300_000 };
const rowAgain = { delayMs: 1_000, delayMsMax: 300_000 };
/** Of a lane whose backend is down: so soon is it found that it is back. */
const laneAgain = { delayMs: 1_000, delayMsMax: 15_000 };
/** What no attempt may exceed: one that hangs in its backend has failed long before. */
const attemptMsMax = 120_000;
/** How often the ages are told, and due rows are looked for while others are under way. */
const lookMs = 1_000;
/** Between two counts of what waits: so long, and so many times longer than a count takes, as a million rows may wait. */
const tellMs = 2_000;
const tellShare = 50;
/** Digests and manifests that the backend was seen to hold. */
const seenMax = 50_000;
/** Rows of which the last failure is remembered in words, for operators: 3 MB or so. */
const whysMax = 5_000;
const whyCharsMax = 500;
/** Failures of a row between two lines in the log. */
const toldEvery = 10;

/** In the words of whoever failed. */
export type Why = { readonly cause: string; readonly message: string };
/** newer: a later write of somebody else counts. */
export type Confirmation = 'written' | 'newer';

export type WriteBackParts = {
  readonly store: TagStore;
  readonly backed: TagsBacked;
  readonly log: Logger;
  readonly metrics: BackingMetrics;
  /** Of the clock on the wall: rows outlive the process. */
  readonly nowMs: () => number;
  readonly random: Prng;
};

export class OutboxLane implements AsyncDisposable {
  readonly #parts: WriteBackParts;
  readonly #there = new Recent(seenMax);
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #whys = new Map<string, Why>();
  /** Of the backend as a whole, while its rows are left alone for it. */
  #down: Why | undefined;
  readonly #waiters = new Map<string, Set<(row: OutboxRow, how: Confirmation) => void>>();
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #wake = Promise.withResolvers<void>();
  /** Failures of the backend as a whole in a row, and until when it is left alone. */
  #failures = 0;
  #pausedUntilMs = 0;
  /** When what waits is counted next, by the monotonic clock. */
  #tellAtMs = 0;
  #toldEmpty = true;

  constructor(parts: WriteBackParts) {
    this.#parts = parts;
    this.#ended = this.#run();
  }

  /** There may be something to do. */
  kick(): void {
    this.#wake.resolve();
  }

  /** The same, whatever was before. */
  wake(): void {
    this.#pausedUntilMs = 0;
    this.kick();
  }

  /** Why a row was not written the last time, as far as this process has tried it; or why its backend's rows are not tried. */
  why(key: OutboxKey): Why | undefined {
    return this.#whys.get(nameOf(key)) ?? this.#down;
  }

  /** Once the backend has this row, or what replaced it. Rejects with the signal's reason. */
  confirmed(row: OutboxRow, signal: AbortSignal): Promise<Confirmation> {
    const key = nameOf(row);
    const waiters = this.#waiters.get(key) ?? new Set();
    this.#waiters.set(key, waiters);
    const { promise, resolve, reject } = Promise.withResolvers<Confirmation>();
    const heard = (written: OutboxRow, how: Confirmation): void => {
      if (how === 'newer' || !newer(row.version, written.version)) resolve(how);
    };
    const late = (): void => reject(signal.reason as Error);
    waiters.add(heard);
    signal.addEventListener('abort', late);
    if (signal.aborted) late();
    // Whoever waits has it tried now, whatever was before.
    this.wake();
    return promise.finally(() => {
      signal.removeEventListener('abort', late);
      waiters.delete(heard);
      if (waiters.size === 0) this.#waiters.delete(key);
    });
  }

  /** What is under way ends; its rows stay where they are not written. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the index is stopping'));
    this.kick();
    await this.#ended;
    await Promise.allSettled(this.#underWay.values());
  }

  async #run(): Promise<void> {
    const { store, backed, log } = this.#parts;
    while (!this.#stop.signal.aborted) {
      this.#wake = Promise.withResolvers();
      try {
        await this.#begin();
        const nextMs = await store.nextDueMs(backed.name);
        await this.#tell(nextMs === undefined);
        await this.#pause(nextMs);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        log.error({ err: error, backend: backed.name }, 'the outbox cannot be read');
        await this.#sleep(lookMs);
      }
    }
  }

  async #begin(): Promise<void> {
    const { store, backed, nowMs } = this.#parts;
    if (nowMs() < this.#pausedUntilMs) return;
    const free = rowsMax - this.#underWay.size;
    // While it is down one row at a time finds out that it is back.
    const wanted = this.#failures > 0 ? 1 - Math.min(1, this.#underWay.size) : free;
    if (wanted === 0) return;
    const rows = await store.due(backed.name, nowMs(), wanted + this.#underWay.size);
    for (const row of rows.filter((one) => !this.#underWay.has(nameOf(one))).slice(0, wanted)) {
      const key = nameOf(row);
      const working = this.#one(row).finally(() => {
        this.#underWay.delete(key);
        this.kick();
      });
      this.#underWay.set(key, working);
    }
  }

  async #tell(empty: boolean): Promise<void> {
    const { store, metrics, nowMs } = this.#parts;
    const begun = performance.now();
    // That nothing waits, or something does now, is told at once.
    if (!empty && !this.#toldEmpty && begun < this.#tellAtMs) return;
    this.#toldEmpty = empty;
    metrics.waiting(await store.outbox(), nowMs());
    const ended = performance.now();
    this.#tellAtMs = ended + Math.max(tellMs, tellShare * (ended - begun));
  }

  async #pause(nextMs: number | undefined): Promise<void> {
    const now = this.#parts.nowMs();
    if (nextMs === undefined) return this.#wake.promise;
    const untilMs = Math.max(nextMs, this.#pausedUntilMs);
    // What is under way still counts as due: it is looked again for others, not at once.
    const least = this.#underWay.size > 0 ? lookMs : 1;
    await this.#sleep(Math.min(lookMs, Math.max(least, untilMs - now)));
  }

  async #sleep(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    await Promise.race([promise, this.#wake.promise]);
    clearTimeout(timer);
  }

  async #one(row: OutboxRow): Promise<void> {
    const { store, backed, metrics } = this.#parts;
    const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(attemptMsMax)]);
    try {
      const outcome = await new RowWriter({ backed, store, signal, there: this.#there }).write(row);
      this.#failures = 0;
      this.#down = undefined;
      if (outcome.kind === 'waits') {
        const message = `${backed.name} has no ${backed.blobKey(outcome.for, row.repo)} yet`;
        return await this.#again(row, { cause: 'waiting', message }, waitAgain);
      }
      if (outcome.kind === 'newer') await this.#giveWay(row, outcome.record.version, signal);
      else metrics.written(backed.name, row.kind);
      await store.written(row);
      this.#whys.delete(nameOf(row));
      for (const heard of this.#waiters.get(nameOf(row)) ?? [])
        heard(row, outcome.kind === 'newer' ? 'newer' : 'written');
    } catch (error) {
      if (!this.#stop.signal.aborted) await this.#failed(row, error);
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
    const { backed, log, metrics, nowMs, random } = this.#parts;
    const cause = error instanceof BackendError ? error.why : timedOut(error) ? 'stalled' : 'error';
    const why = { cause, message: (error as Error).message };
    metrics.failed(backed.name, cause);
    if (DOWN.has(cause)) {
      this.#failures += 1;
      this.#down = why;
      const askedMs = error instanceof BackendError ? (error.afterMs ?? 0) : 0;
      this.#pausedUntilMs = nowMs() + Math.max(askedMs, backoffMs(laneAgain, this.#failures) * random.unit());
    }
    if (row.attempts % toldEvery === 0) {
      const { repo, kind, name, attempts } = row;
      // A backend's own words are enough; what is not one's is a fault of ours, and its stack tells where.
      const what = error instanceof BackendError ? { cause, why: error.message } : { err: error };
      log.warn({ ...what, backend: backed.name, repo, kind, name, attempts }, 'not written back yet');
    }
    await this.#again(row, why, rowAgain).catch((failure: unknown) =>
      log.error({ err: failure }, 'the outbox cannot be written'),
    );
  }

  #tellWhy(name: string, { cause, message }: Why): void {
    this.#whys.delete(name);
    this.#whys.set(name, { cause, message: message.slice(0, whyCharsMax) });
    for (const oldest of this.#whys.keys()) {
      if (this.#whys.size <= whysMax) break;
      this.#whys.delete(oldest);
    }
  }

  async #again(row: OutboxRow, why: Why, policy: { delayMs: number; delayMsMax: number }): Promise<void> {
    const { store, nowMs, random } = this.#parts;
    const { cause } = why;
    this.#tellWhy(nameOf(row), why);
    const bound = backoffMs(policy, row.attempts + 1);
    await store.failed(row, { cause, dueMs: Math.ceil(nowMs() + bound * (0.5 + random.unit() / 2)) });
  }
}

function timedOut(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError';
}

function nameOf({ repo, kind, name }: OutboxKey): string {
  return `${repo} ${kind} ${name}`;
}
