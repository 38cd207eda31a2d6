/**
 * What the index knows: tag to digest, and what each repository holds.
 *
 * A TagStore is what the index talks to: every write that it acknowledged is on disk, and seen by every read that begins
 * afterwards, in whatever process. A TagTables is such a state, synchronous, of one process: SQLite, or memory.
 * conformance.fixtures.ts and outbox.fixtures.ts test any TagStore.
 *
 * Rule 1: each method is one transaction: it happens whole, or not at all.
 * Rule 2: names and digests come in checked; nothing here knows HTTP, or what time it is.
 * Rule 3: a digest is linked by a repository that has it as a blob or as a manifest, and by a manifest that refers to it
 *   or has it as its subject. Since when it is not is kept from its last link on, or from when it was first asked about.
 * Rule 4: a condemned digest has lost its links for good until it is proved: origins may remove its bytes. It is linked
 *   again only by who names the generation in which an origin was last told so.
 * Rule 5: tags have versions (versions.ts): a write may be conditional on one, and a deleted tag is not forgotten at once.
 *   One that was made elsewhere (`as`) keeps its version, and is made only where it is newer.
 * Rule 6: what a backend is to be told of is noted in the same transaction (outbox.ts). What comes from there is linked
 *   without a proof, since the bytes are there.
 * Rule 7: a write that has a name is done once (named.ts).
 */

import type { Succession } from '../../core/contracts/gc/succession.ts';
import type {
  BlobLink,
  BlobLinkPut,
  CatalogPage,
  CondemnReply,
  ManifestPut,
  ManifestRecord,
  ReferrerList,
  TagChanged,
  TagPage,
  TagPut,
  TagRecord,
  TagVersion,
  UnlinkedReply,
} from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import type { DocumentStore } from './documents.ts';
import type { IdleAt, IdleReads, IdleWrites } from './idle.ts';
import type { NamedTables, WriteName } from './named.ts';
import type { OutboxReads, OutboxWrites } from './outbox.ts';
import type { TagOutcome } from './versions.ts';

/** At most `n` entries after `last`, which need not exist. */
export type PageOf = { readonly n: number; readonly last?: string | undefined };
export type ReferrersOf = PageOf & { readonly artifactType?: string | undefined };

export interface TagReads {
  /** With the version of its last write. */
  tag(repo: string, tag: string): TagRecord | undefined;
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
  /** Repositories that have the digest as a blob or as a manifest, in lexical order. */
  holders(digest: Digest, page: PageOf): CatalogPage;
  /** Of `digests`, those without a link now. */
  unlinked(digests: readonly Digest[]): UnlinkedReply;
}

/** `missing`: references that the repository lacks. `unproved`: the generation in which its own digest was condemned. */
export type ManifestOutcome = {
  readonly missing: readonly Digest[];
  readonly unproved?: number | undefined;
  /** A tag that is not where the put was to find it, and where it is. */
  readonly changed?: (TagChanged & { readonly tag: string }) | undefined;
  /** Of the write of its tags, where there are any. */
  readonly version?: TagVersion | undefined;
  /** It was made elsewhere (`as`), and none of its tags is older than that: nothing changes, whatever the repository lacks. */
  readonly kept?: TagVersion | undefined;
};

/** Only at that version; or as another cluster has deleted it, which is remembered also where there is no such tag. */
export type DeleteOn = TagVersion | { readonly as: TagVersion };

/**
 * A digest without a link for `unlinkedMs` is condemned. `idle`: so is one that has only been idle for as long, in an engine
 * that has no list of idle links (`expire`), and whose repositories do not keep theirs.
 */
export type CondemnAt = {
  readonly nowMs: number;
  readonly unlinkedMs: number;
  readonly idle?: { readonly keeps?: IdleAt['keeps'] } | undefined;
};

/** `sparse`: the repository takes an index whose manifests are not all there; blobs must be, all the same. */
export type ManifestWrite = ManifestPut & { readonly sparse?: boolean | undefined };

/** Tags that are on a manifest; none: an index has it. It was not deleted. */
export type StillNeeded = { readonly tags: readonly string[] };

export interface TagWrites {
  /**
   * Adds the manifest and sets its tags, unless a reference is not in the repository, a tag was written since, or the
   * manifest is condemned and not proved: then nothing changes. Again: the record is replaced, the tags are set.
   */
  putManifest(repo: string, digest: Digest, put: ManifestWrite, nowMs: number): ManifestOutcome;
  /** Undefined: the repository does not hold that manifest, and nothing changes. */
  putTag(repo: string, tag: string, put: TagPut): TagOutcome | undefined;
  /** Undefined: there is no such tag. */
  deleteTag(repo: string, tag: string, on?: DeleteOn): TagOutcome | undefined;
  /**
   * With every tag on it. What refers to it stays. `as`: as another cluster has deleted it, with that write's version: only
   * where no tag here is on it, and no index has it.
   */
  deleteManifest(repo: string, digest: Digest, nowMs: number, as?: TagVersion): boolean | StillNeeded;
  /** Undefined: done. A generation: it is condemned, and was not proved since; nothing changes. */
  linkBlob(repo: string, digest: Digest, put: BlobLinkPut): number | undefined;
  unlinkBlob(repo: string, digest: Digest, nowMs: number): boolean;
  /** Links what `from` holds, which is thereby not condemned; undefined where it does not. */
  mount(repo: string, digest: Digest, from: string): BlobLink | undefined;
  /** Of `digests`, those that an origin may remove now, and how many may soon. Each answer is a new generation. */
  condemn(digests: readonly Digest[], at: CondemnAt): CondemnReply;
}

/** A database that was restored from a backup (sqlite/restore.ts), or moved from such a one. */
export interface Succeeds {
  succession(): Succession;
  /** From now on what it says is missing is missing. */
  trust(): void;
}

/** Of a database that is still what it was. */
export const noSuccession: Succession = { of: [], trusted: true };

export interface TagTables
  extends TagReads,
    TagWrites,
    IdleReads,
    IdleWrites,
    OutboxReads,
    OutboxWrites,
    NamedTables,
    Succeeds {}

type Promised<T> = {
  [M in keyof T]: T[M] extends (...args: infer A) => infer R ? (...args: A) => Promise<R> : never;
};

/** Writes that may undo, or bring back, what others wrote, if they are done twice. */
export type NamedWrites = Promised<
  Pick<TagWrites, 'putManifest' | 'putTag' | 'deleteTag' | 'deleteManifest' | 'unlinkBlob'>
>;

export interface TagStore extends Promised<Omit<TagTables, keyof NamedTables>>, AsyncDisposable {
  /** The same writes by that name: done once, however often they are asked for. */
  named(of: WriteName): NamedWrites;
  readonly documents: DocumentStore;
}

/** A digest that no origin was told of for so long is condemned no longer: nobody acts on so old an answer. */
export const condemnedMs = 7 * 24 * 3_600_000;
/** Annotations in one page of referrers, as JSON: clients read at most 4 MiB of an index. One manifest alone may have as much. */
export const referrerAnnotationBytesMax = 2 * 1024 * 1024;
