/**
 * What waits for one remote, brought there: so many rows at once, for as long as it takes.
 *
 * Rule 1: a remote that is down, or unfit, is left alone as a whole, and tried with one row now and then; that costs no row
 *   its place, and none is ever given up for it.
 * Rule 2: a row that the remote itself refuses, again and again, is dead: it waits for an operator, or a newer write.
 * Rule 3: of several indexes on one engine one works on a row: it holds it while it does, and who dies, or hangs, holds it for
 *   `holdMs` more.
 */

import type { Prng } from '../../core/prng.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import type { OutboxKey, OutboxRow } from '../../platform/tags/outbox.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { Logger } from '../../platform/telemetry/log.ts';
import type { RowDone, RowSender } from './copy/row.ts';
import { type SendFailure, sendFailureOf } from './failures.ts';
import type { RemoteMetrics } from './metrics.ts';
import type { RemoteRegistry } from './remote/remote.ts';

/** Rows under way at once: most tags need nothing but themselves; the blobs have places of their own. */
const rowsMax = 16;
/** Of a row that failed: the remote refuses it, or something of it is not to be had. */
const rowAgain = { delayMs: 1_000, delayMsMax: 300_000 };
/** Of a row that found the remote, or our origins, away: it is not to wait for long once they are back. */
const awayAgain = { delayMs: 1_000, delayMsMax: 15_000 };
/** Refusals in a row until a row is dead: some minutes, in which somebody may have mended it. */
const refusalsMax = 8;
/** How often what waits is looked for, and told. */
const lookMs = 1_000;
const tellMs = 2_000;
/** Of what waits a count costs a walk: so many times longer is paused as it took. */
const tellShare = 50;
const holdMs = 15_000;
const holdAgainMs = 5_000;
/** A row is surely held for so long after that was said last. */
const heldMs = holdMs - 2_000;
/** Failures that are remembered in words, for operators. */
const whysMax = 5_000;
const whyCharsMax = 500;
const toldEvery = 10;

export type LaneStore = Pick<TagStore, 'claim' | 'hold' | 'nextDueMs' | 'written' | 'failed' | 'outbox'>;
export type LaneParts = {
  readonly target: string;
  readonly remote: RemoteRegistry;
  readonly store: LaneStore;
  readonly sender: Pick<RowSender, 'send'>;
  readonly log: Logger;
  readonly metrics: RemoteMetrics;
  /** Of the engine: rows outlive the process. */
  readonly nowMs: () => number;
  readonly random: Prng;
};

type UnderWay = { readonly key: OutboxKey; readonly ended: Promise<void> };

export class RemoteLane implements AsyncDisposable {
  readonly #parts: LaneParts;
  readonly #underWay = new Map<string, UnderWay>();
  readonly #whys = new Map<string, SendFailure>();
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;
  #wake = Promise.withResolvers<void>();
  /** When what is under way was held last: by the engine's clock, and by one that is never set. */
  #held = { atMs: 0, tickMs: Number.NEGATIVE_INFINITY };
  /** Why the remote as a whole is left alone. */
  down: SendFailure | undefined;
  #outages = 0;
  #pausedUntilMs = 0;
  #tellAtMs = 0;

  constructor(parts: LaneParts) {
    this.#parts = parts;
    this.#ended = this.#run();
  }

  /** Rows are due, whatever was before. */
  wake(): void {
    this.#pausedUntilMs = 0;
    this.#parts.remote.doubt();
    this.#wake.resolve();
  }

  /** Why a row failed last, as far as this process has tried it. */
  why(key: OutboxKey): SendFailure | undefined {
    return this.#whys.get(nameOf(key)) ?? this.down;
  }

  /** What is under way is broken off; its rows stay, and others may go on with them at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the index is stopping'));
    this.#wake.resolve();
    await this.#ended;
    const all = [...this.#underWay.values()];
    await Promise.allSettled(all.map(({ ended }) => ended));
    if (all.length > 0)
      await this.#parts.store
        .hold(
          all.map(({ key }) => key),
          0,
        )
        .catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { log, remote } = this.#parts;
    while (!this.#stop.signal.aborted) {
      this.#wake = Promise.withResolvers();
      try {
        await this.#hold();
        const nextMs = await this.#begin();
        await this.#tell();
        await this.#sleep(this.#untilMs(nextMs));
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        log.error({ err: error, remote: remote.name }, 'what waits for a remote cannot be read');
        await this.#sleep(lookMs);
      }
    }
  }

  /** When the next row is due, of those that are not begun. */
  async #begin(): Promise<number | undefined> {
    const { store, target, nowMs } = this.#parts;
    const nextMs = await store.nextDueMs(target);
    if (nextMs === undefined || nowMs() < Math.max(nextMs, this.#pausedUntilMs)) return nextMs;
    const free = (this.#outages > 0 ? 1 : rowsMax) - this.#underWay.size;
    if (free <= 0 || !(await this.#fit())) return nextMs;
    const now = nowMs();
    if (this.#underWay.size === 0) this.#held = { atMs: now, tickMs: performance.now() };
    for (const row of await store.claim(target, { nowMs: now, n: free, untilMs: now + holdMs })) {
      const name = nameOf(row);
      // Of a hold that was over it may be ours already.
      if (this.#underWay.has(name)) continue;
      const ended = this.#one(row).finally(() => {
        if (!this.#stop.signal.aborted) this.#underWay.delete(name);
        this.#wake.resolve();
      });
      this.#underWay.set(name, { key: row, ended });
    }
    return await store.nextDueMs(target);
  }

  /** Whether the remote is one that takes what we send. */
  async #fit(): Promise<boolean> {
    try {
      await this.#parts.remote.introduced(this.#stop.signal);
      return true;
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#away(sendFailureOf(error));
      return false;
    }
  }

  async #one(row: OutboxRow): Promise<void> {
    const { sender, store, metrics } = this.#parts;
    const held = (): boolean => performance.now() - this.#held.tickMs < heldMs;
    try {
      const done = await sender.send(row, { signal: this.#stop.signal, held });
      this.#back();
      await store.written(row);
      this.#whys.delete(nameOf(row));
      metrics.done(done);
      this.#log(row, done);
    } catch (error) {
      if (!this.#stop.signal.aborted) await this.#failed(row, error);
    }
  }

  async #failed(row: OutboxRow, error: unknown): Promise<void> {
    const { log, metrics, nowMs, random, remote, store } = this.#parts;
    const failure = sendFailureOf(error);
    const { cause, message, of } = failure;
    metrics.failed(cause);
    this.#remember(nameOf(row), failure);
    if (of === 'remote') this.#away(failure, failure.afterMs);
    else if (of === 'row') remote.doubt();
    const attempts = row.attempts + 1;
    const dead = of === 'row' && attempts >= refusalsMax;
    if (dead || row.attempts % toldEvery === 0) {
      const { repo, kind, name } = row;
      const what = of === 'error' ? { err: error } : { cause, why: message };
      const words = dead
        ? 'not replicated, and not tried again by itself: shoal replicate retry'
        : 'not replicated yet';
      log[dead ? 'error' : 'warn']({ ...what, remote: remote.name, repo, kind, name, attempts }, words);
    }
    const bound = backoffMs(of === 'remote' || of === 'origins' ? awayAgain : rowAgain, attempts);
    const dueMs = Math.ceil(nowMs() + bound * (0.5 + random.unit() / 2));
    await store
      .failed(row, { cause, dueMs, dead })
      .catch((failed: unknown) => log.error({ err: failed }, 'what failed cannot be noted'));
  }

  /** The remote is left alone: for longer each time in a row, or for as long as it asks. */
  #away(failure: SendFailure, askedMs = 0): void {
    const { log, metrics, nowMs, random, remote } = this.#parts;
    if (this.down?.cause !== failure.cause)
      log.warn({ remote: remote.name, cause: failure.cause, why: failure.message }, 'the remote is left alone');
    this.down = failure;
    remote.doubt();
    metrics.up(false);
    // What was under way together fails together.
    if (nowMs() < this.#pausedUntilMs && askedMs === 0) return;
    this.#outages += 1;
    const pauseMs = Math.max(askedMs, backoffMs(awayAgain, this.#outages) * (0.5 + random.unit() / 2));
    this.#pausedUntilMs = nowMs() + pauseMs;
  }

  #back(): void {
    if (this.down !== undefined) this.#parts.log.info({ remote: this.#parts.remote.name }, 'the remote is back');
    this.down = undefined;
    this.#outages = 0;
    this.#parts.metrics.up(true);
  }

  #log({ repo, kind, name, version, digest }: OutboxRow, done: RowDone): void {
    const { log, remote } = this.#parts;
    const about = { remote: remote.name, repo, kind, name, version, digest };
    if (done === 'sent' || done === 'deleted') log.info(about, `replicated: ${done}`);
    else log.debug(about, `nothing to replicate: ${done}`);
  }

  async #hold(): Promise<void> {
    const now = this.#parts.nowMs();
    // A clock that was put back would hold nothing for as long.
    if (this.#underWay.size === 0 || Math.abs(now - this.#held.atMs) < holdAgainMs) return;
    const keys = [...this.#underWay.values()].map(({ key }) => key);
    const tickMs = performance.now();
    await this.#parts.store.hold(keys, now + holdMs);
    this.#held = { atMs: now, tickMs };
  }

  async #tell(): Promise<void> {
    const { store, metrics, nowMs, target } = this.#parts;
    const begun = performance.now();
    if (begun < this.#tellAtMs) return;
    const states = await store.outbox();
    metrics.waiting(
      states.filter((state) => state.target === target),
      nowMs(),
    );
    const ended = performance.now();
    this.#tellAtMs = ended + Math.max(tellMs, tellShare * (ended - begun));
  }

  #untilMs(nextMs: number | undefined): number {
    if (nextMs === undefined) return lookMs;
    const untilMs = Math.max(nextMs, this.#pausedUntilMs) - this.#parts.nowMs();
    // What is held, here or elsewhere, still counts as due: it is looked again for others, not at once.
    return untilMs <= 0 ? lookMs : Math.min(lookMs, untilMs);
  }

  async #sleep(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    await Promise.race([promise, this.#wake.promise]);
    clearTimeout(timer);
  }

  #remember(name: string, failure: SendFailure): void {
    this.#whys.delete(name);
    this.#whys.set(name, { ...failure, message: failure.message.slice(0, whyCharsMax) });
    for (const oldest of this.#whys.keys()) {
      if (this.#whys.size <= whysMax) break;
      this.#whys.delete(oldest);
    }
  }
}

/** None of these has a space. */
function nameOf({ repo, kind, name }: OutboxKey): string {
  return `${repo} ${kind} ${name}`;
}
