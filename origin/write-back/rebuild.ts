/**
 * Rows for what a queue does not know of: after its database was lost, and where a rule is new on an origin that has blobs
 * already.
 *
 * Rule 1: every blob that is whole here, in every repository that the index has it in, gets a row; what its backend has
 *         is found there and is done. So nothing is lost with a queue but time.
 * Rule 2: in the background, a page after the other, from the start again where the process ended meanwhile: rows are
 *         added as often as is liked.
 * Rule 3: without an index it is the backend for all repositories, if there is one; a blob of others is not guessed at.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { CatalogPage } from '../../core/contracts/index-api.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import { backoffMs } from '../../core/retry/retry.ts';
import { CallContext } from '../../platform/clients/context.ts';
import type { Clock } from '../../platform/net/clock.ts';
import type { Queue } from '../../platform/queue/queue.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';

/** Blobs that are asked about at a time. */
const batchMax = 16;
const pageMax = 1_000;
/** The index, or the queue's disk, may be back in a moment. */
const again = { delayMs: 1_000, delayMsMax: 60_000 };

type Whole = { readonly digest: Digest; readonly meta: { readonly length: number }; readonly complete: boolean };
type Owing = BlobIn & { readonly size: number };

export type RebuildOptions = {
  readonly queue: Pick<Queue, 'fresh' | 'complete'>;
  /** The rules, in any words: others are looked through anew. */
  readonly rules: string;
  readonly blobs: () => Iterable<Whole>;
  readonly owe: (blobs: readonly Owing[]) => Promise<void>;
  /** undefined: no index is configured. */
  readonly holders:
    | ((digest: Digest, page: { n: number; last?: string | undefined }, ctx: CallContext) => Promise<CatalogPage>)
    | undefined;
  readonly clock: Clock;
  readonly log: LineLog;
};

export class Rebuild implements Disposable {
  readonly #options: RebuildOptions;
  readonly #stop = new AbortController();

  constructor(options: RebuildOptions) {
    this.#options = options;
  }

  /** Resolves when the queue is complete, or this was disposed of. */
  async run(): Promise<void> {
    const { queue, rules, log } = this.#options;
    for (let attempt = 1; !this.#stop.signal.aborted; attempt++) {
      try {
        if (!(await queue.fresh(rules))) return;
        const blobs = await this.#all();
        await queue.complete(rules);
        const how = 'write-back: what is here is compared with the backends';
        return log[blobs > 0 ? 'warn' : 'debug']({ blobs }, how);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (!(error instanceof ApiError)) throw error;
        const why = 'write-back: what is here could not be compared with the backends yet, it is tried again';
        if (attempt === 1) log.warn({ err: error }, why);
        await this.#pause(backoffMs(again, attempt));
      }
    }
  }

  [Symbol.dispose](): void {
    this.#stop.abort(new Error('the origin is stopping'));
  }

  async #all(): Promise<number> {
    const whole = [...this.#options.blobs()].filter(({ complete }) => complete);
    for (let at = 0; at < whole.length; at += batchMax) {
      this.#stop.signal.throwIfAborted();
      const owing = await Promise.all(whole.slice(at, at + batchMax).map((entry) => this.#owingOf(entry)));
      await this.#options.owe(owing.flat());
    }
    return whole.length;
  }

  async #owingOf({ digest, meta }: Whole): Promise<Owing[]> {
    const { holders } = this.#options;
    const size = meta.length;
    if (holders === undefined) return [{ digest, size, repo: undefined }];
    const ctx = CallContext.begin({ signal: this.#stop.signal });
    const owing: Owing[] = [];
    for (let last: string | undefined; ; ) {
      const { repositories, more } = await holders(digest, { n: pageMax, last }, ctx);
      for (const repo of repositories) owing.push({ digest, size, repo });
      last = repositories.at(-1);
      if (!more || last === undefined) return owing;
    }
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#options.clock.after(ms, resolve);
    this.#stop.signal.addEventListener('abort', () => resolve(), { once: true });
    await promise;
    timer[Symbol.dispose]();
  }
}
