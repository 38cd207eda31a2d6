/**
 * What nobody needs any more leaves this origin by itself: it walks through all that it holds, and asks the index about it.
 *
 * Rule 1: what goes, goes as when room is needed: the index condemns it, and in one step what was neither pushed, proved nor
 *   pinned since the question goes (platform/store/room/let-go.ts). What a backend is still owed stays.
 * Rule 2: the index says how long, how often and how fast; one of a release before says nothing, and then nothing goes.
 * Rule 3: another index than the one that this origin goes by, or none: the round ends, and says why.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../../core/contracts/errors.ts';
import type { GcRound, GcRules } from '../../core/contracts/gc/routes.ts';
import type { Digest } from '../../core/digest.ts';
import { CallContext } from '../../platform/clients/context.ts';
import type { IndexClient } from '../../platform/clients/index-client.ts';
import type { Queue } from '../../platform/queue/queue.ts';
import { batchMax } from '../../platform/store/room/let-go.ts';
import type { BlobStore } from '../../platform/store/store.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import { doubtedError, type KnownIndex } from '../known-index.ts';

/** Until the rules are asked for again, where the index did not say when to begin. */
const againMs = 60_000;
/** After a start others are asked first: a cluster that was started at once walks one by one. */
const startMsMax = 600_000;
/** An index that is slow, or away for a moment, does not end a round of an hour. */
const failuresMax = 5;
const failedMs = 2_000;

export type CollectorOptions = {
  readonly store: {
    readonly blobs: BlobStore['blobs'];
    readonly count: number;
    readonly room: Pick<BlobStore['room'], 'letGoBy'>;
  };
  readonly index: Pick<IndexClient, 'gcRules' | 'gcCondemn' | 'useless'>;
  readonly known: Pick<KnownIndex, 'standing'>;
  /** Undefined: no backend is configured. */
  readonly owed: () => Pick<Queue, 'held'> | undefined;
  /** 0 to 1. */
  readonly random: () => number;
  readonly went: (what: { readonly blobs: number; readonly bytes: number }) => void;
  readonly log: LineLog;
};

type State = { -readonly [K in keyof GcRound]: GcRound[K] };
const idle: GcRound = { apply: true, running: false, looked: 0, of: 0, blobs: 0, bytes: 0, waiting: 0, owed: 0 };

export class Collector implements AsyncDisposable {
  readonly #options: CollectorOptions;
  readonly #stop = new AbortController();
  #state: State = { ...idle };
  #round: Promise<void> | undefined;
  #running: Promise<void> | undefined;
  /** When a round that removes was done last, by the monotonic clock. */
  doneAt: number | undefined;

  constructor(options: CollectorOptions) {
    this.#options = options;
  }

  get state(): GcRound {
    return { ...this.#state };
  }

  begin(): void {
    this.#running ??= this.#run().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) throw error;
    });
  }

  /** Begins a round, or tells of the one that runs. ApiError TOOMANYREQUESTS where that is of the other kind. */
  now(apply: boolean): GcRound {
    if (this.#round === undefined) void this.#begin(apply);
    else if (this.#state.apply !== apply)
      throw new ApiError('TOOMANYREQUESTS', `a round that ${this.#state.apply ? 'removes' : 'counts'} runs: ask later`);
    return this.state;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the origin is stopping'));
    await Promise.all([this.#running, this.#round]);
  }

  async #run(): Promise<void> {
    let first = true;
    for (;;) {
      const rules = await this.#rules().catch(unanswered);
      const everyMs = rules?.everyMs ?? againMs;
      await this.#pause(first ? this.#options.random() * Math.min(everyMs, startMsMax) : everyMs);
      first = false;
      if (rules !== undefined && rules.off === undefined) await (this.#round ?? this.#begin(true));
    }
  }

  #begin(apply: boolean): Promise<void> {
    const state = { ...idle, apply, running: true, of: this.#options.store.count };
    this.#state = state;
    this.#round = this.#walk(state)
      .catch((error: unknown) => {
        if (!(error instanceof ApiError) && !this.#stop.signal.aborted) throw error;
        state.why = (error as Error).message;
      })
      .finally(() => {
        state.running = false;
        this.#round = undefined;
        this.#tell(state);
      });
    return this.#round;
  }

  async #walk(state: State): Promise<void> {
    const rules = await this.#rules();
    if (rules === undefined) throw new ApiError('UNSUPPORTED', 'the index is of a release that collects nothing');
    if (rules.off !== undefined && state.apply) throw new ApiError('UNSUPPORTED', rules.off);
    const beganMs = performance.now();
    let batch: { digest: Digest; bytes: number }[] = [];
    for (const { digest, complete, damaged, meta } of this.#options.store.blobs()) {
      if (!complete && !damaged) continue;
      if (batch.push({ digest, bytes: meta.length }) < batchMax) continue;
      await this.#batch(batch, state);
      batch = [];
      const dueMs = (state.looked * 1_000) / rules.rate;
      await this.#pause(Math.max(0, dueMs - (performance.now() - beganMs)));
    }
    if (batch.length > 0) await this.#batch(batch, state);
    if (state.apply) this.doneAt = performance.now();
  }

  async #batch(batch: readonly { readonly digest: Digest; readonly bytes: number }[], state: State): Promise<void> {
    const all = batch.map(({ digest }) => digest);
    const held = (await this.#options.owed()?.held(all)) ?? new Set<Digest>();
    for (let failures = 0; ; ) {
      const why = state.apply ? await this.#letGo(all, held, state) : await this.#count(batch, held, state);
      if (why === undefined) break;
      if (++failures === failuresMax) throw new ApiError('UNAVAILABLE', why);
      await this.#pause(failedMs);
    }
    state.looked += batch.length;
  }

  /** Why it could not be done. */
  async #letGo(all: readonly Digest[], held: ReadonlySet<string>, state: State): Promise<string | undefined> {
    const { store, index, known } = this.#options;
    const outcome = await store.room.letGoBy(all, async (digests, signal) => {
      const ctx = CallContext.begin({ signal: AbortSignal.any([signal, this.#stop.signal]) });
      const reply = await index.gcCondemn(digests, ctx);
      if ((await known.standing(reply)) === 'doubted') throw doubtedError();
      const unneeded = reply.condemned.filter((digest) => !held.has(digest));
      state.owed += reply.condemned.length - unneeded.length;
      return { unneeded, waiting: reply.waiting };
    });
    this.#stop.signal.throwIfAborted();
    state.blobs += outcome.blobs;
    state.bytes += outcome.bytes;
    state.waiting += outcome.waiting;
    this.#options.went(outcome);
    return outcome.failure;
  }

  async #count(
    batch: readonly { readonly digest: Digest; readonly bytes: number }[],
    held: ReadonlySet<string>,
    state: State,
  ): Promise<string | undefined> {
    const { index, known } = this.#options;
    try {
      const ctx = CallContext.begin({ signal: this.#stop.signal });
      const reply = await index.useless(
        batch.map(({ digest }) => digest),
        ctx,
      );
      if ((await known.standing(reply)) === 'doubted') throw doubtedError();
      const useless = new Set(reply.useless);
      for (const { digest, bytes } of batch) {
        if (!useless.has(digest)) continue;
        if (held.has(digest)) state.owed += 1;
        else {
          state.blobs += 1;
          state.bytes += bytes;
        }
      }
      return undefined;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return error.message;
    }
  }

  #tell({ apply, looked, blobs, bytes, waiting, owed, why }: State): void {
    if (!apply || this.#stop.signal.aborted) return;
    const told = { looked, blobs, bytes, waiting, owed };
    const { log } = this.#options;
    if (why !== undefined) log.warn({ ...told, why }, 'what nobody needs could not all be looked for');
    else log[blobs > 0 ? 'info' : 'debug'](told, 'what nothing has referred to for the grace was removed');
  }

  async #rules(): Promise<GcRules | undefined> {
    return await this.#options.index.gcRules(CallContext.begin({ signal: this.#stop.signal }));
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stop.signal, ref: false });
  }
}

function unanswered(error: unknown): undefined {
  if (!(error instanceof ApiError)) throw error;
}
