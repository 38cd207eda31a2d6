/** The index's HTTP interface: tag to digest, and what each repository holds. */

import type { Digest } from '../digest.ts';

const repo = (name: string): string => `/v1/repos/${encodeURIComponent(name)}`;

export const INDEX_PATHS = {
  /** GET: ManifestRecord. PUT TagPut. DELETE. */
  tag: (name: string, tag: string): string => `${repo(name)}/tags/${encodeURIComponent(tag)}`,
  /** GET ?n=&last=: TagPage, in lexical order. */
  tags: (name: string): string => `${repo(name)}/tags`,
  /** GET: ManifestRecord. PUT ManifestPut (409 with Unproved). DELETE: removes the manifest and every tag on it. */
  manifest: (name: string, digest: Digest): string => `${repo(name)}/manifests/${digest}`,
  /** GET ?n=&last=: ReferrerList, by digest (filtered by ?artifactType=). */
  referrers: (name: string, digest: Digest): string => `${repo(name)}/referrers/${digest}`,
  /** GET: BlobLink or 404. PUT BlobLinkPut: links a blob to the repository (409 with Unproved). DELETE: unlinks it. */
  blob: (name: string, digest: Digest): string => `${repo(name)}/blobs/${digest}`,
  /** POST MountRequest: links a blob that another repository holds; 404 if it does not. */
  mount: (name: string, digest: Digest): string => `${repo(name)}/blobs/${digest}/mount`,
  /** GET ?n=&last=: CatalogPage. */
  catalog: '/v1/catalog',
  /** POST CondemnRequest: CondemnReply. An origin that needs room asks what it may remove. */
  condemn: '/v1/condemned',
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
  /** As of BlobLinkPut, for the manifest's own bytes. */
  readonly proof?: number | undefined;
};
export type MissingReferences = { readonly missing: readonly Digest[] };
export type TagPut = { readonly digest: Digest };
export type TagPage = { readonly tags: readonly string[]; readonly more: boolean };
export type CatalogPage = { readonly repositories: readonly string[]; readonly more: boolean };
/** `more` is absent in the answers of an index that knows no pages: it lists the first thousand. */
export type ReferrerList = { readonly manifests: readonly ReferrerRecord[]; readonly more?: boolean | undefined };
export type BlobLinkPut = {
  readonly size: number;
  /** The generation of an answer BLOB_CONDEMNED, after which the origins were asked for the bytes and have them. */
  readonly proof?: number | undefined;
};
/**
 * `detail` of BLOB_CONDEMNED: origins were told that they may remove the digest, last in this generation. Whoever has its
 * bytes proved by the origins and then names the generation may link it, unless another origin was told meanwhile.
 */
export type Unproved = { readonly generation: number };
export type BlobLink = { readonly digest: Digest; readonly size: number };
export type MountRequest = { readonly from: string };

/** Digests in one question: a short transaction for the index. */
export const condemnMax = 500;
export type CondemnRequest = { readonly digests: readonly Digest[] };
export type CondemnReply = {
  /** Which database this is: an origin removes nothing by the word of another one than it knows. */
  readonly index: string;
  /** Nothing has linked to these for long: their bytes may go, if they go now. */
  readonly condemned: readonly Digest[];
  /** Of the digests, so many have no link either, but not for long enough yet. */
  readonly waiting: number;
};
