/**
 * The rows of one target at work: so many at once, as soon as a write has left one, each for as long as it takes. What a row
 * needs, and what becomes of one that failed, its lane says (write-back, a remote, a receiver of events).
 *
 * Rule 1: a write of this process is heard of at once (`kick`), one of another on the same engine within `lookMs`.
 * Rule 2: a target that is away is left alone as a whole, however many rows are due, and tried with one row now and then.
 * Rule 3: of several indexes on one engine one works on a row: it holds it while it does, and who dies, or hangs, holds it for
 *   `holdMs` more.
 */

import type { Prng } from '../../core/prng.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import type { OutboxKey, OutboxRow, OutboxState } from '../../platform/tags/outbox.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { Logger } from '../../platform/telemetry/log.ts';

/** How often due rows are looked for that nobody here has written, and what waits is told. */
const lookMs = 1_000;
/** Between two counts of what waits: so long, and so many times longer than a count takes, as a million rows may wait. */
const tellMs = 2_000;
const tellShare = 50;
/** Rows of a process that died, or lost its engine, are taken up by another one so much later. */
const holdMs = 15_000;
/** So often is said that they are still worked on. */
const holdAgainMs = 5_000;
/** A row is surely held for so long after that was said last. */
const heldMs = holdMs - 2_000;
/** Of a target that is away: so soon is it found that it is back. */
export const awayAgain = { delayMs: 1_000, delayMsMax: 15_000 };

export type LoopStore = Pick<TagStore, 'claim' | 'hold' | 'nextDueMs' | 'outbox'>;
export type LoopParts = {
  readonly target: string;
  readonly store: LoopStore;
  /** Rows under way at once. */
  readonly rowsMax: number;
  /** Of the engine: rows outlive the process. */
  readonly nowMs: () => number;
  readonly random: Prng;
  readonly log: Pick<Logger, 'error'>;
  /** Does a row, and notes in the engine what became of it; rejects where that cannot be noted. */
  readonly one: (row: OutboxRow, signal: AbortSignal) => Promise<void>;
  /** What waits, of all targets. */
  readonly tell: (states: readonly OutboxState[], nowMs: number) => void;
  /** Whether the target takes anything now. Default: it does. */
  readonly ready?: ((signal: AbortSignal) => Promise<boolean>) | undefined;
  /** Done each time that is looked; answers how soon it is to be done again at most. */
  readonly beside?: (() => Promise<number | undefined>) | undefined;
};

type UnderWay = { readonly key: OutboxKey; readonly ended: Promise<void> };

export class OutboxLoop implements AsyncDisposable {
  readonly #parts: LoopParts;
  readonly #underWay = new Map<string, UnderWay>();
  readonly #stop = new AbortController();
  #ended: Promise<void> = Promise.resolve();
  #wake = Promise.withResolvers<void>();
  /** When what is under way was held last: by the engine's clock, and by one that is never set. */
  #held = { atMs: 0, tickMs: Number.NEGATIVE_INFINITY };
  /** Failures of the target as a whole in a row, and until when it is left alone. */
  #outages = 0;
  #pausedUntilMs = 0;
  /** When what waits is counted next, by the monotonic clock: at all, and in any case. */
  #told = { soonestMs: 0, latestMs: 0, empty: true };

  constructor(parts: LoopParts) {
    this.#parts = parts;
  }

  /** Once whoever made it can do a row. */
  start(): void {
    this.#ended = this.#run();
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
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

  /** Whether what is under way is surely held by us. */
  held(): boolean {
    return performance.now() - this.#held.tickMs < heldMs;
  }

  /** The target is left alone: for longer each time in a row, or for as long as it asks. */
  away(askedMs = 0): void {
    const { nowMs, random } = this.#parts;
    const now = nowMs();
    // What was under way together fails together.
    if (now < this.#pausedUntilMs && askedMs === 0) return;
    this.#outages += 1;
    const pauseMs = Math.max(askedMs, backoffMs(awayAgain, this.#outages) * (0.5 + random.unit() / 2));
    this.#pausedUntilMs = now + pauseMs;
  }

  /** It has taken something. */
  back(): void {
    this.#outages = 0;
  }

  /** What is under way is broken off; its rows stay, and others may go on with them at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the index is stopping'));
    this.kick();
    await this.#ended;
    const all = [...this.#underWay.values()];
    await Promise.allSettled(all.map(({ ended }) => ended));
    const keys = all.map(({ key }) => key);
    if (keys.length > 0) await this.#parts.store.hold(keys, 0).catch(() => undefined);
  }

  async #run(): Promise<void> {
    const { log, target, beside } = this.#parts;
    while (!this.#stop.signal.aborted) {
      this.#wake = Promise.withResolvers();
      try {
        await this.#hold();
        const nextMs = await this.#begin();
        const soonMs = (await beside?.()) ?? lookMs;
        await this.#tell(nextMs === undefined);
        await this.#sleep(this.#untilMs(nextMs, soonMs));
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        log.error({ err: error, target }, 'the outbox cannot be read');
        await this.#sleep(lookMs);
      }
    }
  }

  /** When the next row is due, of those that are not begun; undefined: none waits. */
  async #begin(): Promise<number | undefined> {
    const { store, target, nowMs, rowsMax, ready } = this.#parts;
    const free = (this.#outages > 0 ? 1 : rowsMax) - this.#underWay.size;
    // Whatever is written meanwhile: nothing would come of looking.
    if (free <= 0 || nowMs() < this.#pausedUntilMs) return nowMs();
    const nextMs = await store.nextDueMs(target);
    if (nextMs === undefined || nowMs() < nextMs) return nextMs;
    if (ready !== undefined && !(await ready(this.#stop.signal))) return nextMs;
    const now = nowMs();
    if (this.#underWay.size === 0) this.#held = { atMs: now, tickMs: performance.now() };
    for (const row of await store.claim(target, { nowMs: now, n: free, untilMs: now + holdMs })) {
      const name = rowNameOf(row);
      // Of a hold that was over it may be ours already.
      if (!this.#underWay.has(name)) this.#underWay.set(name, { key: row, ended: this.#one(name, row) });
    }
    return await store.nextDueMs(target);
  }

  async #one(name: string, row: OutboxRow): Promise<void> {
    const { one, log, target } = this.#parts;
    const { signal } = this.#stop;
    try {
      await one(row, signal);
    } catch (error) {
      if (!signal.aborted) log.error({ err: error, target }, 'the outbox cannot be written');
    }
    // Once it stops, who holds what is told to the engine.
    if (!signal.aborted) this.#underWay.delete(name);
    this.kick();
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

  async #tell(empty: boolean): Promise<void> {
    const { store, tell, nowMs } = this.#parts;
    const begun = performance.now();
    const { soonestMs, latestMs, empty: before } = this.#told;
    // That nothing waits, or something does now, is told soon.
    if (begun < (empty === before ? latestMs : soonestMs)) return;
    tell(await store.outbox(), nowMs());
    const ended = performance.now();
    const soonest = ended + tellShare * (ended - begun);
    this.#told = { soonestMs: soonest, latestMs: Math.max(soonest, ended + tellMs), empty };
  }

  #untilMs(nextMs: number | undefined, mostMs: number): number {
    if (nextMs === undefined) return mostMs;
    const untilMs = Math.max(nextMs, this.#pausedUntilMs) - this.#parts.nowMs();
    // What is held, here or elsewhere, still counts as due: it is looked again for others, not at once.
    return untilMs <= 0 ? mostMs : Math.min(mostMs, untilMs);
  }

  async #sleep(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    await Promise.race([promise, this.#wake.promise]);
    clearTimeout(timer);
  }
}

/** Of a target's rows. None of these has a space. */
export function rowNameOf({ repo, kind, name, slot }: OutboxKey): string {
  return slot === undefined ? `${repo} ${kind} ${name}` : `${repo} ${kind} ${name} ${slot}`;
}
