/**
 * What this index has lost for good is deleted from backends that say so (`delete: true`; platform/tags/doomed.ts).
 *
 * Rule 1: a digest is claimed, deleted and settled. No request to a backend begins later than `beginMs` after its claim was
 *   asked for, none lasts longer than `deleteMs`, and the claim holds for longer than both.
 * Rule 2: what is linked though a deletion of it may have come late is asked of the origins: each that holds it looks whether
 *   the backend does, and writes it again. That goes on until no such request can be on its way any more.
 * Rule 3: a backend that fails ends the round; nothing is lost by it but time. What others filled is left alone.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../core/contracts/errors.ts';
import type { GcBackends } from '../../core/contracts/gc/routes.ts';
import type { Digest } from '../../core/digest.ts';
import { type Backend, BackendError } from '../../platform/backends/backend.ts';
import type { Backed } from '../../platform/backends/backends.ts';
import type { Doomed, DoomedStore } from '../../platform/tags/doomed.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import type { DeletionMetrics } from './metrics.ts';

/** Digests of one claim: while it holds, whoever links one of them waits. */
const claimMax = 64;
const atOnce = 8;
const beginMs = 4_000;
const deleteMs = 8_000;
/** Of the engine's clock, which may be another host's: some seconds more than both. */
const claimMs = 20_000;
/** How soon what somebody left who died is looked for. */
const lookMs = 60_000;

export type DeletionOptions = {
  readonly doomed: DoomedStore;
  readonly backends: readonly (Pick<Backed, 'name' | 'blobKey'> & { readonly backend: Pick<Backend, 'remove'> })[];
  /** Origins that hold it are to look whether backends do; false: none holds it, though a repository has it. */
  readonly mend: (digest: Digest, signal: AbortSignal) => Promise<boolean>;
  readonly nowMs: () => number;
  readonly graceMs: number;
  readonly everyMs: number;
  /** Digests a second, at most. */
  readonly rate: number;
  /** Why nothing goes; undefined: it does. */
  readonly off: () => string | undefined;
  readonly metrics: DeletionMetrics;
  readonly log: LineLog;
};

type Round = { gone: number; failed: number; more: boolean };

export class BackendDeletion implements AsyncDisposable {
  readonly #options: DeletionOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  /** Why the last round ended before its time. */
  #why: string | undefined;

  constructor(options: DeletionOptions) {
    this.#options = options;
  }

  begin(): void {
    this.#running ??= this.#run().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) throw error;
    });
  }

  /** Some of what is due, where `apply`. */
  async step(apply: boolean): Promise<GcBackends & { readonly more: boolean }> {
    const off = await this.#off();
    const { gone, failed, more } =
      apply && off === undefined ? await this.#some() : { gone: 0, failed: 0, more: false };
    const { doomed, due } = await this.#count();
    return { gone, failed, waiting: doomed - due, due, off: off ?? this.#why, more: more && failed === 0 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the index is stopping'));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { everyMs, log } = this.#options;
    for (;;) {
      await this.#pause(Math.min(everyMs, lookMs));
      try {
        await this.#all();
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        log.debug({ err: error }, 'what backends need not keep could not be looked for, it is tried again');
      }
    }
  }

  async #all(): Promise<void> {
    const { log, rate } = this.#options;
    let gone = 0;
    for (let more = (await this.#off()) === undefined; more; ) {
      const round = await this.#some();
      gone += round.gone;
      more = round.more && round.failed === 0;
      if (more) await this.#pause((claimMax * 1_000) / rate);
    }
    if (gone > 0)
      log.info({ blobs: gone }, 'blobs that no repository has had for the grace were deleted from backends');
    await this.#count();
  }

  async #count() {
    const { doomed, nowMs, graceMs, metrics } = this.#options;
    const counts = await doomed.doomedCounts(nowMs() - graceMs);
    metrics.counted(counts);
    return counts;
  }

  async #off(): Promise<string | undefined> {
    const off = this.#options.off();
    if (off !== undefined) return off;
    return this.#left(await this.#options.doomed.broughtBackends()).length > 0
      ? undefined
      : 'others filled each backend that says `delete`: `shoal import` has brought what is there';
  }

  /** Others may need what lies in the rest. */
  #left(brought: readonly string[]): DeletionOptions['backends'] {
    return this.#options.backends.filter(({ name }) => !brought.includes(name));
  }

  async #some(): Promise<Round> {
    const { doomed, nowMs, graceMs } = this.#options;
    const begun = performance.now();
    const backends = this.#left(await doomed.broughtBackends());
    const at = nowMs();
    const { claims, again, more } = await doomed.claimDoomed({
      ...{ nowMs: at, beforeMs: at - graceMs, untilMs: at + claimMs, n: claimMax },
    });
    await this.#mend(again, at);
    this.#why = undefined;
    const [gone, failed]: [Doomed[], Doomed[]] = [[], []];
    const left = [...claims];
    const turn = async (): Promise<void> => {
      for (let one = left.shift(); one !== undefined; one = left.shift()) {
        const { digest } = one;
        const inTime = failed.length === 0 && performance.now() - begun < beginMs;
        const outcome = inTime && (await this.#delete(digest, backends));
        (outcome ? gone : failed).push(one);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, turn));
    const linked = [
      ...(await doomed.settleDoomed(gone, true, nowMs())),
      ...(await doomed.settleDoomed(failed, false, nowMs())),
    ];
    await this.#mend(linked, nowMs());
    return { gone: gone.length, failed: failed.length, more };
  }

  /** Whether it is in none of them any more. */
  async #delete(digest: Digest, backends: DeletionOptions['backends']): Promise<boolean> {
    const { metrics, log } = this.#options;
    for (const { name, backend, blobKey } of backends) {
      const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(deleteMs)]);
      try {
        await backend.remove(blobKey(digest, undefined), signal);
        metrics.deleted(name);
      } catch (error) {
        if (!(error instanceof BackendError) && !signal.aborted) throw error;
        const cause = error instanceof BackendError ? error.why : 'stalled';
        metrics.failed(name, cause);
        if (this.#why === undefined)
          log.warn({ backend: name, digest, err: error }, 'it could not be deleted, it is tried again');
        this.#why = `${name}: ${error instanceof BackendError ? error.message : `no answer within ${deleteMs} ms`}`;
        return false;
      }
    }
    return true;
  }

  async #mend(linked: readonly Digest[], sinceMs: number): Promise<void> {
    const { doomed, mend, metrics, log } = this.#options;
    const mended: Digest[] = [];
    for (const digest of linked) {
      const held = await mend(digest, this.#stop.signal).catch(unanswered);
      if (held === true) mended.push(digest);
      if (held !== false) continue;
      metrics.lost();
      log.error({ digest }, 'it was linked while it was deleted from backends, and no origin holds it: push it again');
    }
    if (mended.length > 0) await doomed.savedDoomed(mended, sinceMs);
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stop.signal, ref: false });
  }
}

function unanswered(error: unknown): undefined {
  if (!(error instanceof ApiError)) throw error;
}
