/**
 * Blobs that this origin held, and that are gone or damaged here: fetched again from whoever has them.
 *
 * Rule 1: what its own file tells is taken from there: a damaged list of hashes is made again from right bytes.
 * Rule 2: at once where it is noticed, then with back-off as long as nobody has it; a push of the blob ends it.
 * Rule 3: at most `mendsMax` are waited for at a time, none of them for longer than `patienceMs`: others come after it.
 *   (What was begun goes on: a peer may come up with it at any time.)
 * Rule 4: at most `casesMax` are known here; whoever finds more at once has others compared with (`left`).
 * Rule 5: a blob is a line in the log when nobody is found to have it, and one when it is whole again.
 */

import { ApiError } from '../core/contracts/errors.ts';
import type { Digest } from '../core/digest.ts';
import type { Metainfo } from '../core/piece.ts';
import { backoffMs } from '../core/retry/retry.ts';
import type { PeerNode } from '../platform/peer/node.ts';
import type { BlobEntry, BlobStore } from '../platform/store/store.ts';
import type { Logger } from '../platform/telemetry/log.ts';

const mendsMax = 16;
/** About 300 bytes each. A disk that loses more at once is made good by comparing with others (repair/). */
export const casesMax = 1_000;
export const patienceMs = 60_000;
/** Somebody who holds it may come up in a moment, or never. */
const mendAgain = { delayMs: 5_000, delayMsMax: 600_000 };

export type MendingOptions = {
  readonly store: Pick<BlobStore, 'get' | 'blobs' | 'missing' | 'watch' | 'restore' | 'remove'>;
  readonly node: Pick<PeerNode, 'pull' | 'mend' | 'arrived' | 'drop'>;
  readonly log: Logger;
};

type Case = {
  readonly digest: Digest;
  /** undefined: only its digest is known. */
  readonly meta: Metainfo | undefined;
  attempts: number;
};

export class Mending {
  readonly #options: MendingOptions;
  readonly #cases = new Map<Digest, Case>();
  readonly #due: Case[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  /** More is missing than is mended one by one. */
  left: () => void = () => undefined;
  #running = 0;
  #closed = false;

  constructor(options: MendingOptions) {
    this.#options = options;
  }

  /** Begins with what the store lacks, and is told of what it finds lacking from then on. */
  begin(): void {
    const { store } = this.#options;
    store.watch({ missing: (digest, meta) => this.want(digest, meta) });
    // One that never was whole here is offered again by whoever has it.
    for (const { damaged, digest, meta } of store.blobs()) if (damaged) this.want(digest, meta);
    for (const digest of store.missing) this.want(digest);
  }

  /** Blobs that are to be whole here and are not, as far as known. */
  get waiting(): number {
    return this.#cases.size;
  }

  /** The blob is not whole here, though it was. Again is harmless. */
  want(digest: Digest, meta?: Metainfo): void {
    if (this.#closed || this.#cases.has(digest)) return;
    if (this.#cases.size >= casesMax) return this.left();
    const one: Case = { digest, meta, attempts: 0 };
    this.#cases.set(digest, one);
    this.#due.push(one);
    this.#go();
  }

  /** It is not what its digest says: nobody gets any more of it, and it is sought elsewhere. */
  async replace(digest: Digest): Promise<void> {
    const { store, node } = this.#options;
    node.drop(digest);
    await store.remove(digest);
    this.want(digest);
  }

  /** What is done about what reading the disk back finds. */
  readonly scrubbing = {
    wrong: (entry: BlobEntry): Promise<void> => this.replace(entry.digest),
    decayed: (entry: BlobEntry): void => this.want(entry.digest, entry.meta),
  };

  /** A push brought it, it was removed, or nobody needs it. */
  forget(digest: Digest): void {
    this.#cases.delete(digest);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#cases.clear();
  }

  #go(): void {
    while (!this.#closed && this.#running < mendsMax) {
      const one = this.#due.shift();
      if (one === undefined) return;
      if (this.#cases.get(one.digest) !== one) continue;
      this.#running++;
      void this.#mend(one).finally(() => {
        this.#running--;
        this.#go();
      });
    }
  }

  async #mend(one: Case): Promise<void> {
    const { node, store, log } = this.#options;
    const { digest, meta } = one;
    const entry = store.get(digest);
    const late = this.#after(patienceMs);
    try {
      // Where only its list of hashes was damaged, nobody else is needed.
      if (entry !== undefined && (await store.restore(entry))) node.arrived(entry);
      else {
        const mended = entry === undefined ? node.pull(digest, { meta }).complete : node.mend(entry);
        await Promise.race([mended, late.over]);
      }
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // Of a digest alone it is not known whether it should be here.
      if (error.code === 'BLOB_UNKNOWN' && meta === undefined && entry === undefined) return this.forget(digest);
    } finally {
      late.cancel();
    }
    if (this.#closed || this.#cases.get(digest) !== one) return;
    if (store.get(digest)?.complete === true) {
      this.#cases.delete(digest);
      log.info({ digest, attempts: one.attempts + 1 }, 'a blob that was missing or damaged here is whole again');
      return;
    }
    one.attempts++;
    if (one.attempts === 1) {
      log.error(
        { digest },
        'a blob that was here is missing or damaged, and nobody is found who has it: push it again',
      );
    }
    void this.#after(backoffMs(mendAgain, one.attempts)).over.then(() => {
      this.#due.push(one);
      this.#go();
    });
  }

  #after(ms: number): { readonly over: Promise<void>; cancel(): void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      resolve();
    }, ms);
    this.#timers.add(timer);
    return {
      over: promise,
      cancel: () => {
        clearTimeout(timer);
        this.#timers.delete(timer);
      },
    };
  }
}
