/** What each repository holds, in memory: counted anew each time it is asked for. */

import { repositoryMatches } from '../../../core/oci/pattern.ts';
import { noUse, plusUse, type RepositoryUse, type Use } from '../../../core/quota.ts';
import type { UsedNow, UsedPage } from '../quotas/used.ts';
import type { PageOf } from '../store.ts';
import type { MemoryRepository } from './repository.ts';

export class MemoryUsed implements UsedNow {
  readonly #repos: ReadonlyMap<string, MemoryRepository>;

  constructor(repos: ReadonlyMap<string, MemoryRepository>) {
    this.#repos = repos;
  }

  of(repo: string): Use {
    const known = this.#repos.get(repo);
    if (known === undefined) return noUse;
    const blobs = [...known.blobs.values()].reduce((sum, size) => sum + size, 0);
    const bytes = [...known.manifests.values()].reduce((sum, { size }) => sum + size, blobs);
    return { bytes, tags: known.tags.size, manifests: known.manifests.size };
  }

  sum(patterns: readonly string[]): Use {
    const names = [...this.#repos.keys()].filter((name) => repositoryMatches(patterns, name));
    return names.reduce((sum, name) => plusUse(sum, this.of(name)), noUse);
  }

  page({ n, last }: PageOf): UsedPage {
    const names = [...this.#repos.keys()].filter((name) => last === undefined || name > last).sort();
    const repositories = names.slice(0, n).map((repo): RepositoryUse => ({ repo, ...this.of(repo) }));
    return { repositories, more: names.length > n };
  }
}
