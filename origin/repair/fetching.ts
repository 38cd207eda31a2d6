/**
 * Blobs that this origin should hold and lacks: fetched a few at a time, those with the fewest copies first.
 *
 * Rule 1: before a blob is fetched the index says whether anything links to it: what was deleted is not brought back by an
 *         origin that was away. No answer: nothing is fetched, and it is asked again.
 * Rule 2: at most `wantsMax` wait here; whoever compares lists waits until there is room. Nothing is kept on the disk: what
 *         is lacking is found again by comparing.
 * Rule 3: what was not fetched is given up, and counted; it is found again as well.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import { unlinkedMax } from '../../core/contracts/index-api.ts';
import type { NamedBlob } from '../../core/contracts/origin-repair.ts';
import type { Digest } from '../../core/digest.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import type { PeerAddress } from '../../core/wire/messages.ts';
import type { Clock } from '../../platform/net/clock.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import type { RepairProgress } from './progress.ts';

/** About 400 bytes each. */
export const wantsMax = 5_000;
const indexAgain = { delayMs: 500, delayMsMax: 30_000 };
/** What the index said counts for as long as it takes to fetch so many. */
const checkedMax = 64;

export type Want = NamedBlob & {
  /** Who holds it whole. */
  readonly from: readonly PeerAddress[];
  /** Owners that are known to hold it. */
  readonly copies: number;
};

export type FetchingOptions = {
  /** Those that something links to. Rejects with ApiError where the index does not say. */
  readonly linked: (digests: readonly Digest[], signal: AbortSignal) => Promise<ReadonlySet<Digest>>;
  /** It is still ours to hold, and not here. */
  readonly lacks: (want: Want) => boolean;
  /** Resolves when it is whole here. Rejects with ApiError. */
  readonly take: (want: Want, signal: AbortSignal) => Promise<void>;
  readonly parallel: number;
  readonly progress: RepairProgress;
  readonly clock: Clock;
  readonly log: LineLog;
};

export class Fetching implements Disposable {
  readonly #o: FetchingOptions;
  readonly #stop = new AbortController();
  readonly #waiting = new Map<Digest, Want>();
  readonly #checked: Want[] = [];
  readonly #running = new Map<Digest, Want>();
  #listeners: (() => void)[] = [];
  #asking = false;
  #refused = 0;
  #why: string | undefined;
  #bytes = 0;

  constructor(options: FetchingOptions) {
    this.#o = options;
  }

  /** What is known to be lacking. */
  get lacking(): { blobs: number; bytes: number } {
    return { blobs: this.#waiting.size + this.#checked.length + this.#running.size, bytes: this.#bytes };
  }

  /** What stands in the way. */
  get why(): string | undefined {
    return this.#why;
  }

  /** False: there are too many. One that is known already is no other. */
  add(want: Want): boolean {
    const { digest, meta } = want;
    if (this.#waiting.has(digest) || this.#running.has(digest)) return true;
    if (this.#checked.some((one) => one.digest === digest)) return true;
    if (this.#stop.signal.aborted || this.#waiting.size >= wantsMax) return false;
    this.#waiting.set(digest, want);
    this.#bytes += meta.length;
    this.#go();
    return true;
  }

  /** Resolves when one more can be added. */
  async room(): Promise<void> {
    while (this.#waiting.size >= wantsMax && !this.#stop.signal.aborted) await this.#change();
  }

  /** Resolves when nothing waits and nothing is being fetched. */
  async settled(): Promise<void> {
    while (this.lacking.blobs > 0 && !this.#stop.signal.aborted) await this.#change();
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new Error('the origin is stopping'));
    this.#waiting.clear();
    this.#checked.length = 0;
    this.#changed();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#listeners.push(resolve));
  }

  #changed(): void {
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }

  #go(): void {
    if (this.#stop.signal.aborted) return;
    if (!this.#asking && this.#waiting.size > 0 && this.#checked.length < this.#o.parallel) void this.#check();
    while (this.#running.size < this.#o.parallel) {
      const want = this.#checked.shift();
      if (want === undefined) break;
      this.#running.set(want.digest, want);
      void this.#fetch(want);
    }
  }

  /** The most endangered first, in the order of coming. */
  #next(): Want[] {
    const order = [...this.#waiting.values()].toSorted((a, b) => a.copies - b.copies);
    return order.slice(0, Math.min(unlinkedMax, checkedMax));
  }

  async #check(): Promise<void> {
    this.#asking = true;
    const wants = this.#next();
    try {
      const linked = await this.#o.linked(
        wants.map(({ digest }) => digest),
        this.#stop.signal,
      );
      this.#refused = 0;
      this.#why = undefined;
      for (const want of wants) {
        if (!this.#waiting.delete(want.digest)) continue;
        if (linked.has(want.digest) && this.#o.lacks(want)) this.#checked.push(want);
        else this.#bytes -= want.meta.length;
      }
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.#refused++;
      this.#why = `whether what is lacking here is still needed the index does not say: ${error.message}`;
      if (this.#refused === 1) this.#o.log.warn({ why: error.message }, 'repair waits for the index');
      await this.#pause(backoffMs(indexAgain, this.#refused));
    } finally {
      this.#asking = false;
    }
    this.#changed();
    this.#go();
  }

  async #fetch(want: Want): Promise<void> {
    const { progress, log, take } = this.#o;
    const { digest, meta } = want;
    try {
      await take(want, this.#stop.signal);
      progress.blobs++;
      log.debug({ digest }, 'repair: a blob that should be here is');
    } catch (error) {
      if (!(error instanceof ApiError) && !this.#stop.signal.aborted) throw error;
      progress.failed++;
      log.debug({ digest, why: (error as Error).message }, 'repair: a blob could not be fetched');
    } finally {
      this.#running.delete(digest);
      this.#bytes -= meta.length;
    }
    this.#changed();
    this.#go();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#o.clock.after(ms, resolve);
      const stop = (): void => {
        timer[Symbol.dispose]();
        resolve();
      };
      this.#stop.signal.addEventListener('abort', stop, { once: true });
    });
  }
}
