/** The index's HTTP interface: tag to digest, and what each repository holds. */

import type { Digest } from '../digest.ts';

const repo = (name: string): string => `/v1/repos/${encodeURIComponent(name)}`;

export const INDEX_PATHS = {
  /** GET: ManifestRecord. PUT TagPut. DELETE. */
  tag: (name: string, tag: string): string => `${repo(name)}/tags/${encodeURIComponent(tag)}`,
  /** GET ?n=&last=: TagPage, in lexical order. */
  tags: (name: string): string => `${repo(name)}/tags`,
  /** GET: ManifestRecord. PUT ManifestPut. DELETE: removes the manifest and every tag on it. */
  manifest: (name: string, digest: Digest): string => `${repo(name)}/manifests/${digest}`,
  /** GET ?n=&last=: ReferrerList, by digest (filtered by ?artifactType=). */
  referrers: (name: string, digest: Digest): string => `${repo(name)}/referrers/${digest}`,
  /** GET: BlobLink or 404. PUT BlobLinkPut: links a blob to the repository. DELETE: unlinks it. */
  blob: (name: string, digest: Digest): string => `${repo(name)}/blobs/${digest}`,
  /** POST MountRequest: links a blob that another repository holds; 404 if it does not. */
  mount: (name: string, digest: Digest): string => `${repo(name)}/blobs/${digest}/mount`,
  /** GET ?n=&last=: CatalogPage. */
  catalog: '/v1/catalog',
} as const;

export type ManifestRecord = {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
};
/** A manifest's descriptor as the referrers API lists it. */
export type ReferrerRecord = ManifestRecord & {
  readonly artifactType?: string | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
};
export type ManifestPut = {
  readonly mediaType: string;
  readonly size: number;
  /** Tags to set in the same transaction. */
  readonly tags: readonly string[];
  /** Blobs (config, layers) that must be linked to the repository, else 404 with MissingReferences. */
  readonly blobs: readonly Digest[];
  /** Manifests (of an index) that must be in the repository. */
  readonly manifests: readonly Digest[];
  /** May be absent from the repository: OCI 1.1. */
  readonly subject?: Digest | undefined;
  readonly artifactType?: string | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
};
export type MissingReferences = { readonly missing: readonly Digest[] };
export type TagPut = { readonly digest: Digest };
export type TagPage = { readonly tags: readonly string[]; readonly more: boolean };
export type CatalogPage = { readonly repositories: readonly string[]; readonly more: boolean };
/** `more` is absent in the answers of an index that knows no pages: it lists the first thousand. */
export type ReferrerList = { readonly manifests: readonly ReferrerRecord[]; readonly more?: boolean | undefined };
export type BlobLinkPut = { readonly size: number };
export type BlobLink = { readonly digest: Digest; readonly size: number };
export type MountRequest = { readonly from: string };
