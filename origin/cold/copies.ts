/**
 * Blobs here that are copies of what a backend holds: they may go when room is needed, for they can be fetched again.
 *
 * Rule 1: the backend is asked just before, and must confirm size and, where it knows it, digest: what was confirmed a while
 *         ago may have been removed there since.
 * Rule 2: of which repositories a blob here is, an origin does not know. What it fetched from a backend itself, and nobody has
 *         relied on since (a push, a proof, a hand-over), is a copy of that backend's. Anything else is one only where every
 *         repository has a backend, and each of them confirms it: then all of its repositories' have it.
 * Rule 3: what a backend is still owed (origin/write-back) is not asked about here: whoever asks leaves it out.
 * Rule 4: bounded in questions and in time; what was not confirmed in time stays.
 */

import type { Digest } from '../../core/digest.ts';
import type { Backed, Backends } from '../../platform/backends/backends.ts';
import type { BlobStore } from '../../platform/store/store.ts';

/** Of one question of the store, which has 500 and needs room for a few: a backend charges for each. */
const confirmMax = 64;
/** Below the time after which the store does not act on an answer any more (room/let-go.ts). */
const confirmMsMax = 2_000;
/** About 100 bytes each; the oldest are forgotten, and are then asked of every backend, or stay. */
const fetchedMax = 100_000;

type CopiesOptions = {
  readonly backends: Pick<Backends, 'all' | 'named' | 'everything'>;
  readonly store: Pick<BlobStore, 'get'>;
};

export class BackendCopies {
  readonly #options: CopiesOptions;
  /** By whom it was fetched, since when nobody relied on it. */
  readonly #fetched = new Map<Digest, string>();

  constructor(options: CopiesOptions) {
    this.#options = options;
  }

  fetched(digest: Digest, backend: string): void {
    this.#fetched.delete(digest);
    this.#fetched.set(digest, backend);
    for (const oldest of this.#fetched.keys()) {
      if (this.#fetched.size <= fetchedMax) return;
      this.#fetched.delete(oldest);
    }
  }

  /** Somebody relies on this copy, or it is gone. */
  relied(digest: Digest): void {
    this.#fetched.delete(digest);
  }

  /** Which of `digests` may go, as far as is known in time. Never rejects. */
  async confirmed(digests: readonly Digest[], signal: AbortSignal): Promise<Digest[]> {
    const asked = digests.flatMap((digest) => {
      const owing = this.#owing(digest);
      return owing.length === 0 ? [] : [{ digest, owing }];
    });
    const late = AbortSignal.any([signal, AbortSignal.timeout(confirmMsMax)]);
    const found: Digest[] = [];
    const confirm = async ({ digest, owing }: { digest: Digest; owing: readonly Backed[] }): Promise<void> => {
      const answers = await Promise.all(owing.map((backed) => this.#has(backed, digest, late)));
      if (!answers.includes(false)) found.push(digest);
    };
    const over = new Promise<void>((resolve) => late.addEventListener('abort', () => resolve(), { once: true }));
    await Promise.race([Promise.all(asked.slice(0, confirmMax).map(confirm)), over]);
    // Whoever answers later is too late.
    return [...found];
  }

  /** Who must have it before it may go; nobody: it may not. */
  #owing(digest: Digest): readonly Backed[] {
    const { backends } = this.#options;
    const from = backends.named(this.#fetched.get(digest) ?? '');
    if (from !== undefined) return [from];
    return backends.everything ? backends.all : [];
  }

  async #has({ backend, blobKey }: Backed, digest: Digest, signal: AbortSignal): Promise<boolean> {
    const entry = this.#options.store.get(digest);
    try {
      const object = await backend.stat(blobKey(digest), signal);
      if (entry === undefined || object?.size !== entry.meta.length) return false;
      return object.digest === undefined || object.digest === digest;
    } catch {
      // It does not say: the copy stays.
      return false;
    }
  }
}
