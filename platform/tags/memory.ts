/** The index's state in memory: for tests, and as the plain statement of what the others must do. */

import type {
  BlobLink,
  BlobLinkPut,
  CatalogPage,
  CondemnReply,
  ManifestRecord,
  ReferrerList,
  ReferrerRecord,
  TagPage,
  TagPut,
  TagRecord,
  TagVersion,
} from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import { GroupedTagStore } from './grouped.ts';
import { MemoryUnlinked, memoryId } from './memory-unlinked.ts';
import { fitting } from './pages.ts';
import type { CondemnAt, ManifestOutcome, ManifestWrite, PageOf, ReferrersOf, TagStore, TagTables } from './store.ts';
import { follows, type TagOutcome, type TagState, tagVersion, tombstonesMax } from './versions.ts';

/** A store that ends with the process. */
export function openMemoryTags(): TagStore {
  return new GroupedTagStore({ tables: new MemoryTables(), transaction: (apply) => apply(), close: () => undefined });
}

type Manifest = ReferrerRecord & {
  readonly subject: Digest | undefined;
  /** What it refers to, the subject included. */
  readonly targets: readonly Digest[];
};

type Repository = {
  readonly tags: Map<string, { readonly digest: Digest; readonly version: TagVersion }>;
  /** Versions of the deletions of tags that are not there, the oldest first. */
  readonly deleted: Map<string, TagVersion>;
  readonly manifests: Map<Digest, Manifest>;
  readonly blobs: Map<Digest, number>;
};

export class MemoryTables implements TagTables {
  readonly #repos = new Map<string, Repository>();
  readonly #unlinked = new MemoryUnlinked((digest) => this.#linked(digest));
  /** The number of the last write of tags. */
  #writes = 0;

  tag(repo: string, tag: string): TagRecord | undefined {
    const found = this.#repos.get(repo)?.tags.get(tag);
    const record = found === undefined ? undefined : this.manifest(repo, found.digest);
    return record === undefined ? undefined : { ...record, version: found?.version };
  }

  tags(repo: string, page: PageOf): TagPage | undefined {
    const known = this.#repos.get(repo);
    if (known === undefined) return undefined;
    const { list, more } = pageOf([...known.tags.keys()].sort(byTag), page, byTag);
    return { tags: list, more };
  }

  manifest(repo: string, digest: Digest): ManifestRecord | undefined {
    const found = this.#repos.get(repo)?.manifests.get(digest);
    return found === undefined ? undefined : { digest, mediaType: found.mediaType, size: found.size };
  }

  referrers(repo: string, digest: Digest, { n, last, artifactType }: ReferrersOf): ReferrerList {
    const all = [...(this.#repos.get(repo)?.manifests.values() ?? [])];
    const left = all
      .filter((one) => one.subject === digest && (artifactType === undefined || one.artifactType === artifactType))
      .filter((one) => last === undefined || one.digest > last)
      .sort((one, two) => plain(one.digest, two.digest))
      .map(({ subject: _, targets: __, ...record }) => record);
    const manifests = fitting(left.slice(0, n), ({ annotations }) =>
      annotations === undefined ? 0 : Buffer.byteLength(JSON.stringify(annotations)),
    );
    return { manifests, more: manifests.length < left.length };
  }

  blob(repo: string, digest: Digest): BlobLink | undefined {
    const size = this.#repos.get(repo)?.blobs.get(digest);
    return size === undefined ? undefined : { digest, size };
  }

  catalog(page: PageOf): CatalogPage {
    const names = [...this.#repos].filter(([, { manifests }]) => manifests.size > 0).map(([name]) => name);
    const { list, more } = pageOf(names.sort(plain), page, plain);
    return { repositories: list, more };
  }

  putManifest(repo: string, digest: Digest, put: ManifestWrite, nowMs: number): ManifestOutcome {
    const known = this.#repos.get(repo);
    const missing = [
      ...put.blobs.filter((blob) => known?.blobs.has(blob) !== true),
      ...(put.sparse ? [] : put.manifests).filter((manifest) => known?.manifests.has(manifest) !== true),
    ];
    if (missing.length > 0) return { missing: [...new Set(missing)] };
    for (const tag of put.tags) {
      const state = stateOf(known, tag);
      if (!follows(state, put.after)) return { missing, changed: { tag, version: state.version } };
    }
    const unproved = this.#unlinked.link(digest, put.proof);
    if (unproved !== undefined) return { missing, unproved };
    const { mediaType, size, subject, artifactType, annotations } = put;
    const repository = this.#open(repo);
    const before = repository.manifests.get(digest)?.targets ?? [];
    const targets = [...put.blobs, ...put.manifests, ...(subject === undefined ? [] : [subject])];
    repository.manifests.set(digest, {
      digest,
      mediaType,
      size,
      subject,
      targets,
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(annotations === undefined ? {} : { annotations }),
    });
    this.#unlinked.referred(targets);
    this.#unlinked.lost(before, nowMs);
    return put.tags.length === 0 ? { missing } : { missing, version: this.#set(repository, put.tags, digest) };
  }

  putTag(repo: string, tag: string, { digest, after }: TagPut): TagOutcome | undefined {
    const known = this.#repos.get(repo);
    if (known?.manifests.has(digest) !== true) return undefined;
    const state = stateOf(known, tag);
    return follows(state, after) ? { version: this.#set(known, [tag], digest) } : { changed: state.version };
  }

  deleteTag(repo: string, tag: string, at?: TagVersion): TagOutcome | undefined {
    const known = this.#repos.get(repo);
    const state = stateOf(known, tag);
    if (known === undefined || !state.there) return undefined;
    return follows(state, at) ? { version: this.#bury(known, [tag]) } : { changed: state.version };
  }

  deleteManifest(repo: string, digest: Digest, nowMs: number): boolean {
    const known = this.#repos.get(repo);
    const manifest = known?.manifests.get(digest);
    if (known === undefined || manifest === undefined) return false;
    known.manifests.delete(digest);
    const tags = [...known.tags].filter(([, target]) => target.digest === digest).map(([tag]) => tag);
    if (tags.length > 0) this.#bury(known, tags);
    this.#unlinked.lost([digest, ...manifest.targets], nowMs);
    return true;
  }

  linkBlob(repo: string, digest: Digest, { size, proof }: BlobLinkPut): number | undefined {
    const unproved = this.#unlinked.link(digest, proof);
    if (unproved === undefined) this.#open(repo).blobs.set(digest, size);
    return unproved;
  }

  unlinkBlob(repo: string, digest: Digest, nowMs: number): boolean {
    if (this.#repos.get(repo)?.blobs.delete(digest) !== true) return false;
    this.#unlinked.lost([digest], nowMs);
    return true;
  }

  mount(repo: string, digest: Digest, from: string): BlobLink | undefined {
    const link = this.blob(from, digest);
    if (link !== undefined) this.#open(repo).blobs.set(digest, link.size);
    return link;
  }

  condemn(digests: readonly Digest[], at: CondemnAt): CondemnReply {
    return this.#unlinked.condemn(digests, at);
  }

  #set(repository: Repository, tags: readonly string[], digest: Digest): TagVersion {
    const version = tagVersion(++this.#writes, memoryId);
    for (const tag of tags) {
      repository.tags.set(tag, { digest, version });
      repository.deleted.delete(tag);
    }
    return version;
  }

  #bury({ tags: there, deleted }: Repository, tags: readonly string[]): TagVersion {
    const version = tagVersion(++this.#writes, memoryId);
    for (const tag of tags) {
      there.delete(tag);
      deleted.set(tag, version);
    }
    for (const oldest of deleted.keys()) {
      if (deleted.size <= tombstonesMax) break;
      deleted.delete(oldest);
    }
    return version;
  }

  #linked(digest: Digest): boolean {
    return [...this.#repos.values()].some(
      ({ blobs, manifests }) =>
        blobs.has(digest) ||
        manifests.has(digest) ||
        [...manifests.values()].some(({ targets }) => targets.includes(digest)),
    );
  }

  #open(repo: string): Repository {
    const known = this.#repos.get(repo) ?? {
      tags: new Map(),
      deleted: new Map(),
      manifests: new Map(),
      blobs: new Map(),
    };
    this.#repos.set(repo, known);
    return known;
  }
}

function stateOf(repository: Repository | undefined, tag: string): TagState {
  const there = repository?.tags.get(tag);
  return { there: there !== undefined, version: there?.version ?? repository?.deleted.get(tag) ?? null };
}

function pageOf(
  sorted: readonly string[],
  page: PageOf,
  order: (one: string, two: string) => number,
): { list: string[]; more: boolean } {
  const { last } = page;
  const rest = last === undefined ? sorted : sorted.filter((name) => order(name, last) > 0);
  return { list: rest.slice(0, page.n), more: rest.length > page.n };
}

function plain(one: string, two: string): number {
  return one < two ? -1 : one > two ? 1 : 0;
}

function byTag(one: string, two: string): number {
  return plain(one.toLowerCase(), two.toLowerCase()) || plain(one, two);
}
