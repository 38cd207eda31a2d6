/**
 * Blobs here that are copies of what a backend holds: they may go when room is needed, for they can be fetched again.
 *
 * Rule 1: the backend is asked just before, and must confirm size and, where it knows it, digest: what was confirmed a while
 *         ago may have been removed there since.
 * Rule 2: of which repositories a blob here is, an origin does not know. What it fetched from a backend itself, and nobody has
 *         relied on since (a push, a proof, a hand-over), is a copy of that backend's. Anything else is one only where every
 *         repository has a backend, and those of the repositories that the index says it is in confirm it. Without the
 *         index's word all backends have to; where one tells repositories apart, the blob stays.
 * Rule 3: what a backend is still owed (origin/write-back) is not asked about here: whoever asks leaves it out.
 * Rule 4: bounded in questions and in time; what was not confirmed in time stays.
 */

import type { CatalogPage } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import type { Backed, Backends } from '../../platform/backends/backends.ts';
import { CallContext } from '../../platform/clients/context.ts';
import type { BlobStore } from '../../platform/store/store.ts';
import type { FetchedFrom } from './cold.ts';

/** Of one question of the store, which has 500 and needs room for a few: a backend charges for each. */
const confirmMax = 64;
/** Below the time after which the store does not act on an answer any more (room/let-go.ts). */
const confirmMsMax = 2_000;
/** About 100 bytes each; the oldest are forgotten, and are then asked of every backend, or stay. */
const fetchedMax = 100_000;
/** Repositories of a blob that are asked about; one of more stays: each costs a question to a backend. */
const holdersMax = 8;

type CopiesOptions = {
  readonly backends: Pick<Backends, 'all' | 'named' | 'of' | 'everything'>;
  readonly store: Pick<BlobStore, 'get'>;
  /** Of the index; undefined: none is configured. */
  readonly holders?: ((digest: Digest, page: { n: number }, ctx: CallContext) => Promise<CatalogPage>) | undefined;
};
/** `repo` undefined: the backend has a blob once for all of them. */
type Place = { readonly backed: Backed; readonly repo: string | undefined };

export class BackendCopies {
  readonly #options: CopiesOptions;
  /** By whom it was fetched, since when nobody relied on it. */
  readonly #fetched = new Map<Digest, FetchedFrom>();

  constructor(options: CopiesOptions) {
    this.#options = options;
  }

  fetched(digest: Digest, from: FetchedFrom): void {
    this.#fetched.delete(digest);
    this.#fetched.set(digest, from);
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
    const asked = digests.filter((digest) => this.#mayGo(digest));
    const late = AbortSignal.any([signal, AbortSignal.timeout(confirmMsMax)]);
    const found: Digest[] = [];
    const confirm = async (digest: Digest): Promise<void> => {
      const places = await this.#places(digest, late);
      const answers = await Promise.all(places.map((place) => this.#has(place, digest, late)));
      if (places.length > 0 && !answers.includes(false)) found.push(digest);
    };
    const over = new Promise<void>((resolve) => late.addEventListener('abort', () => resolve(), { once: true }));
    await Promise.race([Promise.all(asked.slice(0, confirmMax).map(confirm)), over]);
    // Whoever answers later is too late.
    return [...found];
  }

  #from(digest: Digest): Place | undefined {
    const from = this.#fetched.get(digest);
    const backed = from && this.#options.backends.named(from.backend);
    return backed && { backed, repo: from.repo };
  }

  /** As far as is known without asking anybody. */
  #mayGo(digest: Digest): boolean {
    return this.#options.backends.everything || this.#from(digest) !== undefined;
  }

  /** Where it must be before it may go; nowhere: it may not. */
  async #places(digest: Digest, signal: AbortSignal): Promise<readonly Place[]> {
    const { backends, holders } = this.#options;
    const from = this.#from(digest);
    if (from !== undefined) return [from];
    const apart = backends.all.some(({ layout }) => layout.perRepository === true);
    const all = apart ? [] : backends.all.map((backed) => ({ backed, repo: undefined }));
    // One that has everything need not be told apart from itself.
    if (!apart && (backends.all.length === 1 || holders === undefined)) return all;
    const told = await holders?.(digest, { n: holdersMax }, CallContext.begin({ signal })).catch(() => undefined);
    // In no repository: it may be about to be linked to one.
    if (told === undefined || told.more || told.repositories.length === 0) return all;
    const places = told.repositories.flatMap((repo): Place[] => {
      const backed = backends.of(repo);
      return backed === undefined ? [] : [{ backed, repo }];
    });
    return places.length === told.repositories.length ? places : [];
  }

  async #has({ backed: { backend, blobKey }, repo }: Place, digest: Digest, signal: AbortSignal): Promise<boolean> {
    const entry = this.#options.store.get(digest);
    try {
      const object = await backend.stat(blobKey(digest, repo), signal);
      if (entry === undefined || object?.size !== entry.meta.length) return false;
      return object.digest === undefined || object.digest === digest;
    } catch {
      // It does not say: the copy stays.
      return false;
    }
  }
}
