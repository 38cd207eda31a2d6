/** The index's state in memory: for tests, and as the plain statement of what the others must do. */

import type {
  BlobLink,
  CatalogPage,
  ManifestRecord,
  ReferrerList,
  ReferrerRecord,
  TagPage,
} from '../../core/contracts/index.ts';
import type { Digest } from '../../core/digest.ts';
import { GroupedTagStore } from './grouped.ts';
import { fitting } from './pages.ts';
import type { ManifestWrite, PageOf, ReferrersOf, TagStore, TagTables } from './store.ts';

/** A store that ends with the process. */
export function openMemoryTags(): TagStore {
  return new GroupedTagStore({ tables: new MemoryTables(), transaction: (apply) => apply(), close: () => undefined });
}

type Repository = {
  readonly tags: Map<string, Digest>;
  readonly manifests: Map<Digest, ReferrerRecord & { readonly subject: Digest | undefined }>;
  readonly blobs: Map<Digest, number>;
};

export class MemoryTables implements TagTables {
  readonly #repos = new Map<string, Repository>();

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
      .map(({ subject: _, ...record }) => record);
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

  putManifest(repo: string, digest: Digest, put: ManifestWrite): readonly Digest[] {
    const known = this.#repos.get(repo);
    const missing = [
      ...put.blobs.filter((blob) => known?.blobs.has(blob) !== true),
      ...(put.sparse ? [] : put.manifests).filter((manifest) => known?.manifests.has(manifest) !== true),
    ];
    if (missing.length > 0) return [...new Set(missing)];
    const { mediaType, size, subject, artifactType, annotations } = put;
    const repository = this.#open(repo);
    repository.manifests.set(digest, {
      digest,
      mediaType,
      size,
      subject,
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(annotations === undefined ? {} : { annotations }),
    });
    for (const tag of put.tags) repository.tags.set(tag, digest);
    return [];
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

  deleteManifest(repo: string, digest: Digest): boolean {
    const known = this.#repos.get(repo);
    if (known?.manifests.delete(digest) !== true) return false;
    for (const [tag, target] of known.tags) if (target === digest) known.tags.delete(tag);
    return true;
  }

  linkBlob(repo: string, digest: Digest, size: number): void {
    this.#open(repo).blobs.set(digest, size);
  }

  unlinkBlob(repo: string, digest: Digest): boolean {
    return this.#repos.get(repo)?.blobs.delete(digest) ?? false;
  }

  mount(repo: string, digest: Digest, from: string): BlobLink | undefined {
    const link = this.blob(from, digest);
    if (link !== undefined) this.linkBlob(repo, digest, link.size);
    return link;
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
