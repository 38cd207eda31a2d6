/**
 * How many origins own a blob: what the index says, which knows the rules and the repositories; else this origin's
 * `replicas`.
 *
 * Rule 1: the index is asked of what came a moment ago, and of everything now and then, in batches, one after the other.
 * Rule 2: nothing of it is kept across a start: everything is asked anew, and until it is answered `replicas` holds. Nothing
 *         is removed because fewer are enough.
 * Rule 3: what is remembered is what differs from `replicas` only, 40 bytes each.
 * Rule 4: who sees to it that the owners have a blob is told when there are more of them.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { replicasAskedMax } from '../core/contracts/index-api.ts';
import { type Digest, digestHex } from '../core/digest.ts';
import { CallContext } from '../platform/clients/context.ts';
import type { IndexClient } from '../platform/clients/index-client.ts';
import type { BlobStore } from '../platform/store/store.ts';
import type { Logger } from '../platform/telemetry/log.ts';

/** A push links the blob a moment after it was committed. */
const freshMs = 5_000;
/** Rules change with a restart of the index, links of a blob with a mount that asks no origin. */
const allMs = 3_600_000;
/** Between two batches of everything: 1,000,000 blobs take a minute and a half. */
const pauseMs = 50;
/** Asked of soon; what is beyond is found with everything. */
const freshMax = 100_000;
/** Hex digits of a digest that a number holds exactly. */
const keyDigits = 13;

export type ReplicasOptions = {
  /** Of blobs of which the index says nothing. */
  readonly own: number;
  /** Absent: nobody knows better. */
  readonly index: Pick<IndexClient, 'replicas'> | undefined;
  readonly store: Pick<BlobStore, 'blobs'>;
  /** More origins own it than before. */
  readonly more: (digest: Digest) => void;
  readonly log: Pick<Logger, 'debug'>;
};

export class Replicas {
  readonly #options: ReplicasOptions;
  readonly #ending = new AbortController();
  readonly #fresh = new Set<Digest>();
  readonly #running: Promise<void>;
  #told = new Map<number, number>();

  constructor(options: ReplicasOptions) {
    this.#options = options;
    this.#running = options.index === undefined ? Promise.resolve() : this.#run(options.index);
  }

  of(digest: Digest): number {
    return this.#told.get(keyOf(digest)) ?? this.#options.own;
  }

  /** It was pushed here, or is relied on anew: another repository may have it. */
  came(digest: Digest): void {
    if (this.#options.index !== undefined && this.#fresh.size < freshMax) this.#fresh.add(digest);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  async #run(index: Pick<IndexClient, 'replicas'>): Promise<void> {
    const { log } = this.#options;
    let allAtMs = Number.NEGATIVE_INFINITY;
    while (!this.#ending.signal.aborted) {
      try {
        if (performance.now() - allAtMs >= allMs) {
          await this.#askAll(index);
          allAtMs = performance.now();
        }
        await this.#wait(freshMs);
        await this.#askFresh(index);
      } catch (error) {
        log.debug({ why: (error as Error).message }, 'how many origins are to hold what is here could not be asked');
        await this.#wait(freshMs).catch(() => undefined);
      }
    }
  }

  async #askAll(index: Pick<IndexClient, 'replicas'>): Promise<void> {
    const told = new Map<number, number>();
    let batch: Digest[] = [];
    for (const { digest } of this.#options.store.blobs()) {
      if (batch.push(digest) < replicasAskedMax) continue;
      await this.#ask(index, batch, told);
      await this.#wait(pauseMs);
      batch = [];
    }
    await this.#ask(index, batch, told);
    // What has gone is forgotten.
    this.#told = told;
  }

  async #askFresh(index: Pick<IndexClient, 'replicas'>): Promise<void> {
    while (this.#fresh.size > 0) {
      const batch = [...this.#fresh].slice(0, replicasAskedMax);
      await this.#ask(index, batch);
      for (const digest of batch) this.#fresh.delete(digest);
    }
  }

  async #ask(
    index: Pick<IndexClient, 'replicas'>,
    digests: readonly Digest[],
    into?: Map<number, number>,
  ): Promise<void> {
    if (digests.length === 0) return;
    const { own, more } = this.#options;
    const counts = await index.replicas(digests, CallContext.begin({ signal: this.#ending.signal }));
    digests.forEach((digest, i) => {
      const before = this.of(digest);
      const key = keyOf(digest);
      for (const map of new Set([this.#told, into ?? this.#told])) {
        const count = counts[i] ?? 0;
        if (count === 0 || count === own) map.delete(key);
        else map.set(key, count);
      }
      if (this.of(digest) > before) more(digest);
    });
  }

  async #wait(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#ending.signal, ref: false });
  }
}

/** Two blobs of one key share a count: among a million, one pair in ten thousand clusters. */
function keyOf(digest: Digest): number {
  return Number.parseInt(digestHex(digest).slice(0, keyDigits), 16);
}
