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
} from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import { GroupedTagStore } from './grouped.ts';
import { MemoryUnlinked } from './memory-unlinked.ts';
import { fitting } from './pages.ts';
import type { CondemnAt, ManifestOutcome, ManifestWrite, PageOf, ReferrersOf, TagStore, TagTables } from './store.ts';

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
  readonly tags: Map<string, Digest>;
  readonly manifests: Map<Digest, Manifest>;
  readonly blobs: Map<Digest, number>;
};

export class MemoryTables implements TagTables {
  readonly #repos = new Map<string, Repository>();
  readonly #unlinked = new MemoryUnlinked((digest) => this.#linked(digest));

  tag(repo: string, tag: string): ManifestRecord | undefined {
    const digest = this.#repos.get(repo)?.tags.get(tag);
    return digest === undefined ? undefined : this.manifest(repo, digest);
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
    for (const tag of put.tags) repository.tags.set(tag, digest);
    return { missing };
  }

  putTag(repo: string, tag: string, digest: Digest): boolean {
    const known = this.#repos.get(repo);
    if (known?.manifests.has(digest) !== true) return false;
    known.tags.set(tag, digest);
    return true;
  }

  deleteTag(repo: string, tag: string): boolean {
    return this.#repos.get(repo)?.tags.delete(tag) ?? false;
  }

  deleteManifest(repo: string, digest: Digest, nowMs: number): boolean {
    const known = this.#repos.get(repo);
    const manifest = known?.manifests.get(digest);
    if (known === undefined || manifest === undefined) return false;
    known.manifests.delete(digest);
    for (const [tag, target] of known.tags) if (target === digest) known.tags.delete(tag);
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

  #linked(digest: Digest): boolean {
    return [...this.#repos.values()].some(
      ({ blobs, manifests }) =>
        blobs.has(digest) ||
        manifests.has(digest) ||
        [...manifests.values()].some(({ targets }) => targets.includes(digest)),
    );
  }

  #open(repo: string): Repository {
    const known = this.#repos.get(repo) ?? { tags: new Map(), manifests: new Map(), blobs: new Map() };
    this.#repos.set(repo, known);
    return known;
  }
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
