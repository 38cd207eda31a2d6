/**
 * Writes the outbox back: for each backend a lane of its own, so that one that is down holds up none of the others.
 *
 * Rule 1: one row of a key at a time, and always its newest version. What failed is tried again after a back-off with full
 *   jitter, for as long as it takes; what waits for a blob is looked at sooner.
 * Rule 2: where a backend fails as a whole its lane pauses, however many rows are due.
 * Rule 3: of several indexes on one engine one works on a row: it holds it while it does, and who dies holds it for
 *   `holdMs` more. What others write is looked for every second.
 * Rule 4: a row goes when the backend has it, or something newer; then that is brought here.
 */

import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Prng } from '../../../core/prng.ts';
import { backoffMs } from '../../../core/retry/retry.ts';
import { BackendError } from '../../../platform/backends/backend.ts';
import type { TagsBacked } from '../../../platform/backends/backends.ts';
import type { OutboxKey, OutboxRow } from '../../../platform/tags/outbox.ts';
import type { TagStore } from '../../../platform/tags/store.ts';
import type { Logger } from '../../../platform/telemetry/log.ts';
import type { TargetLane, Why } from '../../outbox/queue.ts';
import { Bringer } from '../adopt.ts';
import type { BackingMetrics } from '../metrics.ts';
import { DOWN } from '../through.ts';
import { type Confirmation, Confirming, nameOf } from './confirming.ts';
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
/** Rows of a process that died, or lost its engine, are taken up by another one so much later. */
const holdMs = 15_000;
/** So often is said that they are still worked on. */
const holdAgainMs = 5_000;
/** How soon a write that waits for its backend hears that another index has brought it there. */
const confirmLookMs = 200;
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
  readonly #underWay = new Map<string, { readonly key: OutboxKey; readonly ended: Promise<void> }>();
  readonly #confirming: Confirming;
  /** When what is under way was held last, by the engine's clock. */
  #heldAtMs = 0;
  readonly #whys = new Map<string, Why>();
  /** Of the backend as a whole, while its rows are left alone for it. */
  #down: Why | undefined;
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
    this.#confirming = new Confirming(parts.store);
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
    const confirmed = this.#confirming.of(row, signal);
    // Whoever waits has it tried now, whatever was before.
    this.wake();
    return confirmed;
  }

  /** What is under way ends; its rows stay where they are not written. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the index is stopping'));
    this.kick();
    await this.#ended;
    const all = [...this.#underWay.values()];
    await Promise.allSettled(all.map(({ ended }) => ended));
    // Others may go on at once.
    const keys = all.map(({ key }) => key);
    if (keys.length > 0) await this.#parts.store.hold(keys, 0).catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { backed, log } = this.#parts;
    while (!this.#stop.signal.aborted) {
      this.#wake = Promise.withResolvers();
      try {
        await this.#hold();
        const nextMs = await this.#begin();
        await this.#confirming.look();
        await this.#tell(nextMs === undefined);
        await this.#pause(nextMs);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        log.error({ err: error, backend: backed.name }, 'the outbox cannot be read');
        await this.#sleep(lookMs);
      }
    }
  }

  /** When the next row is due, of those that are not begun. */
  async #begin(): Promise<number | undefined> {
    const { store, backed, nowMs } = this.#parts;
    const nextMs = await store.nextDueMs(backed.name);
    const now = nowMs();
    if (nextMs === undefined || now < Math.max(nextMs, this.#pausedUntilMs)) return nextMs;
    const free = rowsMax - this.#underWay.size;
    // While it is down one row at a time finds out that it is back.
    const n = this.#failures > 0 ? 1 - Math.min(1, this.#underWay.size) : free;
    if (n <= 0) return nextMs;
    if (this.#underWay.size === 0) this.#heldAtMs = now;
    for (const row of await store.claim(backed.name, { nowMs: now, n, untilMs: now + holdMs })) {
      const name = nameOf(row);
      // Of a hold that was over it may be ours already.
      if (this.#underWay.has(name)) continue;
      const ended = this.#one(row).finally(() => {
        if (!this.#stop.signal.aborted) this.#underWay.delete(name);
        this.kick();
      });
      this.#underWay.set(name, { key: row, ended });
    }
    return await store.nextDueMs(backed.name);
  }

  async #hold(): Promise<void> {
    const now = this.#parts.nowMs();
    // A clock that was put back would hold nothing for as long.
    if (this.#underWay.size === 0 || Math.abs(now - this.#heldAtMs) < holdAgainMs) return;
    this.#heldAtMs = now;
    const keys = [...this.#underWay.values()].map(({ key }) => key);
    await this.#parts.store.hold(keys, now + holdMs);
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
    const mostMs = this.#confirming.some ? confirmLookMs : lookMs;
    if (nextMs === undefined) return await this.#sleep(mostMs);
    const untilMs = Math.max(nextMs, this.#pausedUntilMs) - this.#parts.nowMs();
    // What is held, here or elsewhere, still counts as due: it is looked again for others, not at once.
    const leastMs = untilMs <= 0 ? mostMs : 1;
    await this.#sleep(Math.min(mostMs, Math.max(leastMs, untilMs)));
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
      this.#confirming.heard(row, outcome.kind === 'newer' ? 'newer' : 'written');
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
