/** Idle links in memory (platform/tags/idle.ts): the plain statement of it. */

import type { Digest } from '../../../core/digest.ts';
import type { Expired, IdleAt, IdleCounts } from '../idle.ts';
import type { MemoryRepository } from './repository.ts';
import type { MemoryUnlinked } from './unlinked.ts';

type Parts = {
  readonly repos: ReadonlyMap<string, MemoryRepository>;
  readonly unlinked: MemoryUnlinked;
  readonly nowMs: () => number;
  readonly gone: (repo: string, digest: Digest) => void;
};

export class MemoryIdle {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  linked(repository: MemoryRepository, digest: Digest): void {
    if (refersTo(repository, digest)) repository.idle.delete(digest);
    else repository.idle.set(digest, this.#parts.nowMs());
  }

  referred({ idle }: MemoryRepository, digests: readonly Digest[]): void {
    for (const digest of digests) idle.delete(digest);
  }

  /** A manifest of `from`, or its link, has gone; or somebody relies on them. */
  anew(from: MemoryRepository | undefined, digests: readonly Digest[], nowMs = this.#parts.nowMs()): void {
    for (const digest of digests)
      for (const repository of this.#parts.repos.values())
        if (repository.idle.has(digest) || (repository === from && isIdle(from, digest)))
          repository.idle.set(digest, nowMs);
  }

  use(repo: string, digest: Digest, nowMs: number): boolean {
    if (this.#parts.repos.get(repo)?.blobs.has(digest) !== true) return false;
    this.anew(undefined, [digest], nowMs);
    return true;
  }

  useless(digests: readonly Digest[], beforeMs: number): Digest[] {
    const { repos, unlinked } = this.#parts;
    return digests.filter((digest) => {
      const all = [...repos.values()];
      const wanted = ({ manifests, blobs, idle }: MemoryRepository): boolean =>
        manifests.has(digest) ||
        [...manifests.values()].some(({ targets }) => targets.includes(digest)) ||
        (blobs.has(digest) && (idle.get(digest) ?? Number.POSITIVE_INFINITY) > beforeMs);
      return !all.some(wanted) && (all.some(({ blobs }) => blobs.has(digest)) || unlinked.since(digest, beforeMs));
    });
  }

  counts(beforeMs: number): IdleCounts {
    const due = this.#all().filter(({ sinceMs }) => sinceMs <= beforeMs);
    const dueBytes = due.reduce((sum, { repo, digest }) => sum + (repo.blobs.get(digest) ?? 0), 0);
    return { idle: this.#all().length, due: due.length, dueBytes };
  }

  expire({ beforeMs, n, keeps }: IdleAt): Expired {
    const { unlinked, gone } = this.#parts;
    const due = this.#all()
      .filter(({ sinceMs }) => sinceMs <= beforeMs)
      .sort((one, two) => one.sinceMs - two.sinceMs)
      .slice(0, n);
    let [links, bytes] = [0, 0];
    for (const { name, repo, digest, sinceMs } of due) {
      if (keeps?.(name)) {
        this.linked(repo, digest);
        continue;
      }
      links += 1;
      bytes += repo.blobs.get(digest) ?? 0;
      repo.blobs.delete(digest);
      repo.idle.delete(digest);
      unlinked.lost([digest], sinceMs);
      gone(name, digest);
    }
    return { links, bytes, more: due.length === n };
  }

  #all() {
    return [...this.#parts.repos].flatMap(([name, repo]) =>
      [...repo.idle].map(([digest, sinceMs]) => ({ name, repo, digest, sinceMs })),
    );
  }
}

function isIdle(repository: MemoryRepository, digest: Digest): boolean {
  return repository.blobs.has(digest) && !refersTo(repository, digest);
}

function refersTo({ manifests }: MemoryRepository, digest: Digest): boolean {
  return [...manifests.values()].some(({ targets }) => targets.includes(digest));
}
