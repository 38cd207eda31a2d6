/**
 * Kraken's `forcecleanup`: whole blobs that are old, or not this origin's, go; or the least recently used ones, until so
 * much of the budget is used.
 *
 * Rule: nothing goes that the store would not let go of by itself when it needs room. What stays is told, with the reason.
 */

import { stat } from 'node:fs/promises';
import { evictDigestsMax } from '../../core/contracts/origin-admin.ts';
import { type Digest, digestHex } from '../../core/digest.ts';
import type { BlobEntry, BlobStore } from '../../platform/store/store.ts';

/** Digests in an answer; a further call goes on. */
const toldMax = 10_000;
const msPerHour = 3_600_000;

export type CleanupOptions = {
  readonly store: Pick<BlobStore, 'blobs' | 'get' | 'room' | 'usedBytes'>;
  readonly budgetBytes: number;
  readonly owns: (digest: Digest) => boolean;
  /** Since the epoch, as files' times are. */
  readonly wallMs: () => number;
};
/** As Kraken answers: digests' hex digits, and a line for each that stayed. */
export type CleanupReply = { readonly deleted: readonly string[]; readonly errors: readonly string[] };

export class Cleanup {
  readonly #options: CleanupOptions;

  constructor(options: CleanupOptions) {
    this.#options = options;
  }

  /** Blobs whose bytes came more than `hours` ago, and those of other origins. */
  async olderThan(hours: number): Promise<CleanupReply> {
    const { store, owns, wallMs } = this.#options;
    const before = wallMs() - hours * msPerHour;
    const due: Digest[] = [];
    for (const { complete, digest } of store.blobs()) {
      if (due.length >= toldMax) break;
      if (complete && (!owns(digest) || (await cameMs(store.get(digest))) < before)) due.push(digest);
    }
    const deleted: string[] = [];
    const errors: string[] = [];
    for (let at = 0; at < due.length; at += evictDigestsMax) {
      const batch = due.slice(at, at + evictDigestsMax);
      const why = await store.room.letGo(batch);
      for (const digest of batch) {
        if (store.get(digest) === undefined) deleted.push(digestHex(digest));
        else errors.push(`${digest} stays: ${why}`);
      }
    }
    return { deleted, errors };
  }

  /** Percent of the budget that are used then. */
  async downTo(percent: number): Promise<number> {
    const { store, budgetBytes } = this.#options;
    const target = Math.floor((budgetBytes * percent) / 100);
    for (let before = Number.POSITIVE_INFINITY; store.usedBytes > target && store.usedBytes < before; ) {
      before = store.usedBytes;
      if ((await store.room.shrink(target)) !== undefined) break;
    }
    return Math.ceil((store.usedBytes / budgetBytes) * 100);
  }
}

/** When its bytes came here; one that cannot be looked at is not old. */
async function cameMs(entry: BlobEntry | undefined): Promise<number> {
  if (entry === undefined) return Number.POSITIVE_INFINITY;
  return await stat(entry.file.path).then(
    ({ mtimeMs }) => mtimeMs,
    () => Number.POSITIVE_INFINITY,
  );
}
