/** Manifests without a tag, in memory (platform/tags/untagged.ts): the plain statement of it. */

import type { Digest } from '../../../core/digest.ts';
import type { TagTables } from '../store.ts';
import { type UntaggedOf, type UntaggedPage, type UntaggedTables, untaggedPage } from '../untagged.ts';
import { plain } from './lists.ts';
import { type MemoryRepository, tagsOn } from './repository.ts';

export class MemoryUntagged implements UntaggedTables {
  readonly #repos: ReadonlyMap<string, MemoryRepository>;
  readonly #deleteManifest: TagTables['deleteManifest'];

  constructor(repos: ReadonlyMap<string, MemoryRepository>, deleteManifest: TagTables['deleteManifest']) {
    this.#repos = repos;
    this.#deleteManifest = deleteManifest;
  }

  lookUntagged(of: UntaggedOf): UntaggedPage {
    const known = this.#repos.get(of.repo);
    const all = [...(known?.manifests.keys() ?? [])].filter((digest) => digest > (of.last ?? '')).sort(plain);
    const rows = all.slice(0, of.n).map((digest) => ({
      digest,
      since: known?.manifests.get(digest)?.untaggedMs ?? null,
      tagged: known !== undefined && tagsOn(known, digest).length > 0,
      free: known !== undefined && isFree(known, digest),
    }));
    return untaggedPage(rows, of);
  }

  noteUntagged: UntaggedTables['noteUntagged'] = (repo, { fresh, tagged }, nowMs) => {
    const known = this.#repos.get(repo);
    for (const digest of [...fresh, ...tagged]) {
      const manifest = known?.manifests.get(digest);
      if (known === undefined || manifest === undefined) continue;
      manifest.untaggedMs = tagsOn(known, digest).length > 0 ? undefined : (manifest.untaggedMs ?? nowMs);
    }
  };

  askedFor(repo: string, digest: Digest, nowMs: number): boolean {
    const manifest = this.#repos.get(repo)?.manifests.get(digest);
    if (manifest?.untaggedMs !== undefined) manifest.untaggedMs = nowMs;
    return manifest !== undefined;
  }

  retire: UntaggedTables['retire'] = (repo, digests, { beforeMs, nowMs }) =>
    digests.filter((digest) => {
      const known = this.#repos.get(repo);
      const sinceMs = known?.manifests.get(digest)?.untaggedMs;
      if (known === undefined || sinceMs === undefined || sinceMs > beforeMs || !isFree(known, digest)) return false;
      return this.#deleteManifest(repo, digest, nowMs) === true;
    });

  /** It is about to go: what it had kept counts from then on, or from when it had no tag itself. */
  orphaned({ manifests }: MemoryRepository, digest: Digest, nowMs: number): void {
    const gone = manifests.get(digest);
    for (const one of manifests.values())
      if (one.untaggedMs !== undefined && (gone?.references.manifests.includes(one.digest) || one.subject === digest))
        one.untaggedMs = Math.max(one.untaggedMs, gone?.untaggedMs ?? nowMs);
  }

  forgetUntagged(_n: number): boolean {
    for (const { manifests } of this.#repos.values())
      for (const manifest of manifests.values()) manifest.untaggedMs = undefined;
    return false;
  }
}

function isFree(known: MemoryRepository, digest: Digest): boolean {
  const subject = known.manifests.get(digest)?.subject;
  if (tagsOn(known, digest).length > 0 || (subject !== undefined && known.manifests.has(subject))) return false;
  return ![...known.manifests.values()].some(
    (one) =>
      one.references.manifests.includes(digest) || (one.subject === digest && tagsOn(known, one.digest).length > 0),
  );
}
