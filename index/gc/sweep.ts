/**
 * Links that nobody needs any more go, a few at a time, for as long as the index runs (platform/tags/idle.ts).
 *
 * Rule 1: several indexes on one store may do it at once: each link goes in one step that looks again.
 * Rule 2: an engine that does not answer, or says no, is asked again the next time: nothing is lost by it.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../core/contracts/errors.ts';
import type { GcStep } from '../../core/contracts/gc/routes.ts';
import type { Expired } from '../../platform/tags/idle.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';

/** Links of one step: a short transaction for whoever waits behind it. */
export const stepMax = 100;

export type SweepOptions = {
  readonly store: Pick<TagStore, 'expire' | 'idleCounts'>;
  readonly nowMs: () => number;
  readonly graceMs: number;
  readonly everyMs: number;
  /** Links a second, at most. */
  readonly rate: number;
  readonly keeps: (repo: string) => boolean;
  /** Why nothing goes; undefined: it does. */
  readonly off: () => string | undefined;
  readonly went: (expired: Expired) => void;
  readonly log: LineLog;
};

export class Sweep implements AsyncDisposable {
  readonly #options: SweepOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(options: SweepOptions) {
    this.#options = options;
  }

  begin(): void {
    this.#running ??= this.#run().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) throw error;
    });
  }

  async step(apply: boolean): Promise<GcStep> {
    const off = this.#options.off();
    const beforeMs = this.#options.nowMs() - this.#options.graceMs;
    const gone = apply && off === undefined ? await this.#expire(beforeMs) : { links: 0, bytes: 0, more: false };
    return { ...gone, ...(await this.#options.store.idleCounts(beforeMs)), off };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the index is stopping'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { everyMs, log } = this.#options;
    for (;;) {
      await this.#pause(everyMs);
      try {
        await this.#all();
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        log.debug({ err: error }, 'what nobody needs could not be looked for, it is tried again');
      }
    }
  }

  async #all(): Promise<void> {
    const { nowMs, graceMs, off, log, rate } = this.#options;
    let links = 0;
    for (let more = off() === undefined; more; ) {
      const expired = await this.#expire(nowMs() - graceMs);
      links += expired.links;
      more = expired.more;
      if (more) await this.#pause((stepMax * 1_000) / rate);
    }
    if (links > 0) log.info({ links }, 'links of blobs that nothing has referred to for the grace went');
  }

  async #expire(beforeMs: number): Promise<Expired> {
    const { store, keeps } = this.#options;
    const expired = await store.expire({ beforeMs, n: stepMax, keeps });
    this.#options.went(expired);
    return expired;
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stop.signal, ref: false });
  }
}
