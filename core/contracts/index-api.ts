/** The index's HTTP interface: tag to digest, and what each repository holds. */

import type { Digest } from '../digest.ts';
import { manifestBytesMax, pageEntriesMax, pushTagsMax, referrersPageMax } from '../oci/limits.ts';
import { repositoryPatternValid } from '../oci/pattern.ts';
import { type ReplicaRules, replicaRulesMax, replicasMax } from '../rendezvous/replicas.ts';
import { byteCount, digest, inDigest, inRepository, inTag, mediaType, repository, tag } from './fields.ts';
import { indexSaid, type Succession, succession } from './gc/succession.ts';
import { namedQuery } from './named.ts';
import {
  closed,
  digits,
  flag,
  listOf,
  Malformed,
  optional,
  type Parser,
  record,
  texts,
  textThat,
  whole,
} from './parse.ts';
import { reconcileReply, reconcileStep } from './reconcile.ts';
import { route } from './route.ts';

export type ManifestRecord = {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
};
/**
 * Which write of a tag: its number in the database that it was made in, a dash, and which database that is. Callers
 * compare it; who brings writes of several databases in order does so by the number, then by the database.
 */
export type TagVersion = string & { readonly __brand: 'TagVersion' };
/** `version` is absent in the answers of an index of the release before. */
export type TagRecord = ManifestRecord & { readonly version?: TagVersion | undefined };
/** Where a tag is now; null: it is not there, and was not deleted lately. `detail` of TAG_CHANGED. */
export type TagChanged = { readonly version: TagVersion | null };
/**
 * What a write of tags answers; an index of the release before answers nothing. `kept`: nothing has changed, as a write that
 * was made elsewhere is not newer than that version, which is here.
 */
export type TagWritten = { readonly version: TagVersion; readonly kept?: true | undefined };
/**
 * The write is made only if the tag was not written since: neither set nor deleted. null: only if there is no such tag.
 * Else nothing changes: 409 TAG_CHANGED. Absent: whatever is there. (An index of the release before refuses it.)
 */
type After = { readonly after?: TagVersion | null | undefined };
/**
 * The write was made in another cluster, with that version: it is made here only if it is newer than what is here, and keeps
 * its version. Not beside `after`, and of one tag. (An index of the release before refuses it.)
 */
type MadeElsewhere = { readonly as?: TagVersion | undefined };
/** A manifest's descriptor as the referrers API lists it. */
export type ReferrerRecord = ManifestRecord & {
  readonly artifactType?: string | undefined;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
};

export type ManifestPut = After &
  MadeElsewhere & {
    readonly mediaType: string;
    readonly size: number;
    /** Tags to set in the same transaction; `after` is said of each of them. */
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
/** `detail` of MANIFEST_UNKNOWN where a tag is there, and leads nowhere: the message says why. */
export type BrokenTag = { readonly broken: true };
export type MissingReferences = { readonly missing: readonly Digest[] };

export type TagPut = After & MadeElsewhere & { readonly digest: Digest };
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
/** By whose word something may go. */
export type IndexSaid = {
  /** Which database this is: an origin removes nothing by the word of another one than it knows. */
  readonly index: string;
  /** It was restored. (An index of the release before does not say; an origin of that one does not read it, and waits.) */
  readonly succeeds?: Succession | undefined;
};
export type CondemnReply = IndexSaid & {
  /** Nothing has linked to these for long: their bytes may go, if they go now. */
  readonly condemned: readonly Digest[];
  /** Of the digests, so many have no link either, but not for long enough yet. */
  readonly waiting: number;
};

/** Digests in one question about links: as short a read. */
export const unlinkedMax = 500;
export type UnlinkedReply = IndexSaid & {
  /** Of the digests, those that nothing links to now; be it that nothing ever did. */
  readonly unlinked: readonly Digest[];
};

/** Digests in one question about replicas: for each, the repositories that have it are looked up. */
export const replicasAskedMax = 500;

/** The smallest descriptor in a manifest of 4 MiB is about 100 bytes. */
export const referencesMax = 50_000;
const pageEntriesDefault = 1000;
const generation = whole(Number.MAX_SAFE_INTEGER);

/** Of a tag's write. */
export const versionOfTag: Parser<TagVersion> = (value) => {
  if (typeof value === 'string' && /^\d{1,16}-[0-9a-f]{32}$/.test(value)) return value as TagVersion;
  throw new Malformed('is no version of a tag');
};
const after: Parser<TagVersion | null | undefined> = (value) =>
  value === undefined || value === null ? value : versionOfTag(value);
const as = optional(versionOfTag);
const yes: Parser<true> = (value) => {
  if (value === true) return true;
  throw new Malformed('is not true');
};
const written = record({ version: versionOfTag, kept: optional(yes) });
/** The release before answers a write with nothing. */
const tagWritten: Parser<TagWritten | undefined> = optional(written);

const manifestRecord = record({ digest, mediaType, size: byteCount });
const tagRecord = record({ digest, mediaType, size: byteCount, version: optional(versionOfTag) });
const referrerRecord = record({
  digest,
  mediaType,
  size: byteCount,
  artifactType: optional(mediaType),
  annotations: optional(texts),
});
/** What was made elsewhere has no condition here. */
function elsewhere<T extends After & MadeElsewhere & { readonly tags?: readonly string[] }>(
  read: Parser<T>,
): Parser<T> {
  return (value) => {
    const put = read(value);
    if (put.as === undefined) return put;
    if (put.after !== undefined) throw new Malformed('has both `as` and `after`');
    if (put.tags !== undefined && put.tags.length !== 1) throw new Malformed('has `as`, and not one tag');
    return put;
  };
}
const manifestPutBody: Parser<ManifestPut> = closed({
  mediaType,
  size: whole(manifestBytesMax),
  tags: listOf(tag, pushTagsMax),
  blobs: listOf(digest, referencesMax),
  manifests: listOf(digest, referencesMax),
  subject: optional(digest),
  artifactType: optional(mediaType),
  annotations: optional(texts),
  proof: optional(generation),
  after,
  as,
});
const manifestPut = elsewhere(manifestPutBody);
const tagPut: Parser<TagPut> = elsewhere(closed({ digest, after, as }));
const blobLink = record({ digest, size: byteCount });
export const unproved: Parser<Unproved> = record({ generation });

/** `?n=`: a page is never larger than `max`, whatever is asked for. */
const entriesOf = (max: number): Parser<number> => {
  const read = digits(999_999_999);
  return (value) => Math.min(value === undefined ? pageEntriesDefault : read(value), max);
};
const once: Parser<string | undefined> = (value) => {
  if (value === undefined || typeof value === 'string') return value;
  throw new Malformed('was given twice');
};
const page = { n: entriesOf(pageEntriesMax), last: once };
const referrersPage = { n: entriesOf(referrersPageMax), last: once, artifactType: once };

const pattern = textThat(repositoryPatternValid, 'is no pattern of a repository');
const replicaCount = whole(replicasMax);
const replicaRules = record({
  default: replicaCount,
  rules: listOf(record({ repositories: listOf(pattern, replicaRulesMax), replicas: replicaCount }), replicaRulesMax),
}) satisfies Parser<ReplicaRules>;

const ofTag = { params: { name: inRepository, tag: inTag } };
const ofDigest = { params: { name: inRepository, digest: inDigest } };
const tagPath = '/v1/repos/:name/tags/:tag';
const manifestPath = '/v1/repos/:name/manifests/:digest';
const blobPath = '/v1/repos/:name/blobs/:digest';

export const INDEX = {
  tag: route('GET', tagPath, { ...ofTag, reply: tagRecord }),
  /** Who draws a name for it (named.ts) may ask for it again. So also below. */
  putTag: route('PUT', tagPath, {
    ...ofTag,
    query: namedQuery,
    body: tagPut,
    reply: tagWritten,
  }),
  deleteTag: route('DELETE', tagPath, { ...ofTag, query: namedQuery, reply: tagWritten }),
  /** Only if the tag is at that version; else 409 TAG_CHANGED. An older index knows no such path, and deletes nothing. */
  deleteTagAt: route('DELETE', `${tagPath}/versions/:version`, {
    params: { ...ofTag.params, version: { parser: versionOfTag, refused: 'TAG_INVALID' } },
    query: namedQuery,
    reply: tagWritten,
  }),
  /**
   * As another cluster has deleted it, with that version: only if that is newer than what is here. It is remembered, also where
   * there was no such tag. An older index knows no such path, and deletes nothing.
   */
  deleteTagAs: route('DELETE', `${tagPath}/written/:version`, {
    params: { ...ofTag.params, version: { parser: versionOfTag, refused: 'TAG_VERSION_INVALID' } },
    query: namedQuery,
    reply: tagWritten,
  }),
  /** In lexical order. */
  tags: route('GET', '/v1/repos/:name/tags', {
    params: { name: inRepository },
    query: page,
    reply: record({ tags: listOf(tag, pageEntriesMax), more: flag }),
  }),
  manifest: route('GET', manifestPath, { ...ofDigest, reply: manifestRecord }),
  /** 409 with Unproved, or TagChanged. Answers TagWritten where it set any tag. */
  putManifest: route('PUT', manifestPath, {
    ...ofDigest,
    query: namedQuery,
    body: manifestPut,
    refused: 'MANIFEST_INVALID',
    reply: tagWritten,
  }),
  /** With every tag on it. */
  deleteManifest: route('DELETE', manifestPath, { ...ofDigest, query: namedQuery }),
  /**
   * As another cluster has deleted it, with that write's version: only where no tag is on it and no index has it; else 409
   * MANIFEST_NEEDED. What this cluster has itself deleted so is deleted already. An older index knows no such path.
   */
  deleteManifestAs: route('DELETE', `${manifestPath}/written/:version`, {
    params: { ...ofDigest.params, version: { parser: versionOfTag, refused: 'TAG_VERSION_INVALID' } },
    query: namedQuery,
  }),
  /** By digest. */
  referrers: route('GET', '/v1/repos/:name/referrers/:digest', {
    ...ofDigest,
    query: referrersPage,
    reply: record({ manifests: listOf(referrerRecord, pageEntriesMax), more: optional(flag) }),
  }),
  blob: route('GET', blobPath, { ...ofDigest, reply: blobLink }),
  /** Links a blob to the repository; 409 with Unproved. */
  linkBlob: route('PUT', blobPath, {
    ...ofDigest,
    body: closed({ size: byteCount, proof: optional(generation) }) satisfies Parser<BlobLinkPut>,
  }),
  unlinkBlob: route('DELETE', blobPath, { ...ofDigest, query: namedQuery }),
  /** Links a blob that another repository holds; 404 if it does not. */
  mount: route('POST', '/v1/repos/:name/blobs/:digest/mount', {
    ...ofDigest,
    body: closed({ from: repository }) satisfies Parser<MountRequest>,
    reply: blobLink,
  }),
  catalog: route('GET', '/v1/catalog', {
    query: page,
    reply: record({ repositories: listOf(repository, pageEntriesMax), more: flag }),
  }),
  /** Repositories that have the digest: an origin that has lost what it promised to write back asks. */
  holders: route('GET', '/v1/digests/:digest/repositories', {
    params: { digest: inDigest },
    query: page,
    reply: record({ repositories: listOf(repository, pageEntriesMax), more: flag }),
  }),
  /** An origin that needs room asks what it may remove. */
  condemn: route('POST', '/v1/condemned', {
    body: closed({ digests: listOf(digest, condemnMax) }) satisfies Parser<CondemnRequest>,
    reply: record({ ...indexSaid, condemned: listOf(digest, condemnMax), waiting: whole(condemnMax) }),
  }),
  /**
   * An origin that is to fetch what it should hold, or is drained, asks what nobody needs. Nothing changes by it. An index of
   * the release before knows no such path.
   */
  unlinked: route('POST', '/v1/unlinked', {
    body: closed({ digests: listOf(digest, unlinkedMax) }),
    reply: record({ ...indexSaid, unlinked: listOf(digest, unlinkedMax) }) satisfies Parser<UnlinkedReply>,
  }),
  /**
   * How many origins are to hold each of these, in their order: the most that a repository that has it asks for. 0: the
   * index does not say (nothing links to it, or no rules are configured). A release before knows no such path.
   */
  replicas: route('POST', '/v1/replicas', {
    body: closed({ digests: listOf(digest, replicasAskedMax) }),
    reply: record({ replicas: listOf(whole(replicasMax), replicasAskedMax) }),
  }),
  /** The rules themselves, for whoever pushes; `default` 0: none are configured. */
  replicaRules: route('GET', '/v1/replicas', { reply: replicaRules }),
  /**
   * A person says that an index which was restored knows what is needed: origins go by it from now on. What it was before.
   * An index of the release before knows no such path.
   */
  trust: route('POST', '/v1/trust', { body: closed({}), reply: succession }),
  /** What the backends hold is brought here, step by step. An index of the release before knows no such path. */
  reconcile: route('POST', '/v1/reconcile', { body: reconcileStep, reply: reconcileReply }),
} as const;
