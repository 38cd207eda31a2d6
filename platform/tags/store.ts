/**
 * What the index knows: tag to digest, and what each repository holds.
 *
 * A TagTables is the state itself, synchronous: SQLite, or memory. A TagStore is what the index talks
 * to: every write that it acknowledged is durable, and seen by every read that begins afterwards.
 * conformance.ts tests any implementation of either.
 *
 * Rule 1: each method is one transaction: it happens whole, or not at all.
 * Rule 2: names and digests come in checked; nothing here knows HTTP.
 */

import type {
  BlobLink,
  CatalogPage,
  ManifestPut,
  ManifestRecord,
  ReferrerList,
  TagPage,
} from '../../core/contracts/index.ts';
import type { Digest } from '../../core/digest.ts';

/** At most `n` entries after `last`, which need not exist. */
export type PageOf = { readonly n: number; readonly last?: string | undefined };
export type ReferrersOf = PageOf & { readonly artifactType?: string | undefined };

export interface TagReads {
  tag(repo: string, tag: string): ManifestRecord | undefined;
  /** In case-insensitive lexical order (OCI 1.1), ties by code unit. Undefined: there is no such repository. */
  tags(repo: string, page: PageOf): TagPage | undefined;
  manifest(repo: string, digest: Digest): ManifestRecord | undefined;
  /**
   * Manifests whose subject is `digest`, by digest. Of an unknown repository: none. A page ends early where
   * annotations would make it larger than referrerAnnotationBytesMax, but has one entry at least.
   */
  referrers(repo: string, digest: Digest, of: ReferrersOf): ReferrerList;
  blob(repo: string, digest: Digest): BlobLink | undefined;
  /** Repositories that hold a manifest, in lexical order. */
  catalog(page: PageOf): CatalogPage;
}

/** `sparse`: the repository takes an index whose manifests are not all there; blobs must be, all the same. */
export type ManifestWrite = ManifestPut & { readonly sparse?: boolean | undefined };

export interface TagWrites {
  /**
   * Adds the manifest and sets its tags, unless a reference is not in the repository: then nothing
   * changes, and what is missing is returned. Again: the record is replaced, the tags are set.
   */
  putManifest(repo: string, digest: Digest, put: ManifestWrite): readonly Digest[];
  /** False: the repository does not hold that manifest, and nothing changes. */
  putTag(repo: string, tag: string, digest: Digest): boolean;
  deleteTag(repo: string, tag: string): boolean;
  /** With every tag on it. What refers to it stays. */
  deleteManifest(repo: string, digest: Digest): boolean;
  linkBlob(repo: string, digest: Digest, size: number): void;
  unlinkBlob(repo: string, digest: Digest): boolean;
  /** Links what `from` holds; undefined where it does not. */
  mount(repo: string, digest: Digest, from: string): BlobLink | undefined;
}

export interface TagTables extends TagReads, TagWrites {}

type Promised<T> = {
  [M in keyof T]: T[M] extends (...args: infer A) => infer R ? (...args: A) => Promise<R> : never;
};

export interface TagStore extends Promised<TagTables>, AsyncDisposable {}

/** Annotations in one page of referrers, as JSON: clients read at most 4 MiB of an index. One manifest alone may have as much. */
export const referrerAnnotationBytesMax = 2 * 1024 * 1024;
