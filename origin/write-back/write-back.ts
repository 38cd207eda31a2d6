/**
 * What this origin promised to write to a backend, from the promise to the backend's confirmation.
 *
 * Rule 1: whoever is told that a blob is safe in a repository with a backend is told so after its row is on disk here.
 * Rule 2: with `durability: backend` the backend has confirmed it before. A backend that is down makes that answer a 503;
 *         the row stays, and is done once it is back.
 * Rule 3: a blob with a row, a dead one too, is neither let go nor deleted here: this may be the last copy.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { WriteBackReply } from '../../core/contracts/origin.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import type { Prng } from '../../core/prng.ts';
import type { Backed, Backends } from '../../platform/backends/backends.ts';
import type { Clock } from '../../platform/net/clock.ts';
import type { Queue } from '../../platform/queue/queue.ts';
import type { NewRow } from '../../platform/queue/row.ts';
import type { BlobEntry } from '../../platform/store/store.ts';
import type { LineLog } from '../../platform/telemetry/log.ts';
import { Confirmations } from './confirmations.ts';
import { type LaneOptions, WriteBackLane } from './lane.ts';
import type { WriteBackCounts } from './metrics.ts';
import { keyOf, rowOf } from './owed.ts';
import { Turns, type TurnsOptions } from './turns.ts';

export type WriteBackOptions = Pick<LaneOptions, 'find'> & {
  readonly backends: Backends;
  readonly queue: Queue;
  readonly counts: WriteBackCounts;
  readonly origins: TurnsOptions['origins'];
  readonly self: string;
  readonly clock: Clock;
  readonly wallMs: () => number;
  readonly random: Prng;
  readonly log: LineLog;
};

/** A blob that is here whole. */
export type WholeBlob = Pick<BlobEntry, 'digest' | 'meta'>;

/** Of a blob whose row is on disk: resolves when nothing more has to be waited for. ApiError UNAVAILABLE. */
export type Confirmed = () => Promise<void>;

export class WriteBack implements AsyncDisposable {
  readonly #options: WriteBackOptions;
  readonly #lanes = new Map<string, WriteBackLane>();
  readonly #confirmations: Confirmations;

  constructor(options: WriteBackOptions) {
    this.#options = options;
    const { clock, origins, self } = options;
    this.#confirmations = new Confirmations(clock);
    for (const backed of options.backends.all) {
      const turns = new Turns({ origins, self, nowMs: () => clock.nowMs() });
      this.#lanes.set(
        backed.name,
        new WriteBackLane({ ...options, backed, turns, confirmations: this.#confirmations }),
      );
    }
  }

  /** Takes up what an earlier process left. */
  begin(): void {
    for (const lane of this.#lanes.values()) lane.kick();
  }

  /** Blobs that are being written or asked about. */
  get underWay(): number {
    return [...this.#lanes.values()].reduce((sum, lane) => sum + lane.underWay, 0);
  }

  /** Whether what `repo` holds rests in a backend. */
  backs(repo: string | undefined): boolean {
    return this.#options.backends.owedOf(repo) !== undefined;
  }

  /**
   * Resolves once its row is on disk, where the repository has a backend. ApiError STORAGE_FULL: nothing may be acknowledged.
   * What it resolves with waits for what else the repository's durability asks for.
   */
  async promise({ digest, meta }: WholeBlob, repo: string | undefined, signal: AbortSignal): Promise<Confirmed> {
    const backed = this.#options.backends.owedOf(repo);
    if (backed === undefined) return async () => undefined;
    const row = rowOf(backed, { digest, size: meta.length, repo, backend: backed.name });
    const vain = new AbortController();
    const either = AbortSignal.any([signal, vain.signal]);
    const waits = backed.durability === 'backend' ? this.#confirmation(backed, row, either) : undefined;
    // Whoever waits for it is told; until then it is nobody's failure.
    waits?.catch(() => undefined);
    try {
      await this.#add([row]);
    } catch (error) {
      vain.abort(error);
      throw error;
    }
    return async () => await waits;
  }

  /** Another origin owes the blob, and asks for it to be written from here. ApiError UNSUPPORTED: no backend is known for it. */
  async asked({ digest, meta }: WholeBlob, repo: string | undefined): Promise<WriteBackReply> {
    const backed = this.#options.backends.owedOf(repo);
    if (backed === undefined)
      throw new ApiError('UNSUPPORTED', `no backend is configured here for ${repo ?? 'a repository without a name'}`);
    const key = keyOf(backed, { digest, repo });
    if (this.#confirmations.lately(key)) return { state: 'written' };
    const owed = { digest, size: meta.length, repo, backend: backed.name };
    if ((await this.#options.queue.get(key)) === undefined) await this.#add([rowOf(backed, owed)]);
    const { progress, failing } = this.#lanes.get(backed.name) as WriteBackLane;
    return { state: 'queued', progress, failing };
  }

  /** Rows for what may not be in its backend, as far as known. */
  async owe(blobs: readonly (BlobIn & { readonly size: number })[]): Promise<void> {
    const rows = blobs.flatMap(({ digest, size, repo }): NewRow[] => {
      const backed = this.#options.backends.owedOf(repo);
      return backed === undefined ? [] : [rowOf(backed, { digest, size, repo, backend: backed.name })];
    });
    const each = new Map(rows.map((row) => [row.key, row]));
    if (each.size > 0) await this.#add([...each.values()]);
  }

  /** ApiError UNAVAILABLE where it must not be removed yet. */
  async mayRemove(digest: Digest): Promise<void> {
    const { rows } = await this.#options.queue.list({ about: digest }, { max: 1 });
    const [row] = rows;
    if (row === undefined) return;
    const how = row.dead ? 'retry or drop its row first (`shoal origin queue`)' : 'try again once it has';
    const why = row.message === '' ? '' : ` (${row.message})`;
    throw new ApiError('UNAVAILABLE', `backend ${row.lane} has not confirmed ${digest} yet${why}: ${how}`);
  }

  /** Nothing new is begun; what runs may finish. */
  async rest(): Promise<void> {
    await Promise.all([...this.#lanes.values()].map((lane) => lane.stop('finish')));
    this.#confirmations.refuse('this origin is stopping');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#lanes.values()].map((lane) => lane.stop('cut')));
  }

  async #add(rows: readonly NewRow[]): Promise<void> {
    await this.#options.queue.add(rows);
    for (const backend of new Set(rows.map(({ lane }) => lane))) this.#lanes.get(backend)?.kick();
  }

  async #confirmation({ name }: Backed, { key, about }: NewRow, signal: AbortSignal): Promise<void> {
    const lane = this.#lanes.get(name) as WriteBackLane;
    try {
      await this.#confirmations.wait(key, { failing: () => lane.failing, signal });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      throw new ApiError(
        error.code,
        `backend ${name} has not confirmed ${about} yet, which it must before this is acknowledged (\`durability: backend\`): ${error.message}; the origins hold it and go on: push it again later`,
      );
    }
  }
}
