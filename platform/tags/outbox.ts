/**
 * What the tags' backend is to be told of, and what it tells: beside the tags in one database, part of any TagStore.
 *
 * Rule 1: a write of a repository that has a backend leaves a row here in its own transaction: one each for a tag, a
 *   manifest and a blob's link, with the version of the write. What was acknowledged is thereby not lost before the
 *   backend has it. One row a key: the newest write replaces what waits.
 * Rule 2: a row goes once the backend has that version, or a newer one of somebody else; never by age.
 *   Who works on a row has claimed it for a while (`claim`), so that of several processes on one engine one does; the key
 *   is held beside newer writes of it, so that two of them are never under way at once. Whoever dies holds nothing for long.
 * Rule 3: what comes from the backend (`adopt...`) leaves no row, and never replaces what waits, or what is newer.
 * Rule 4: what a repository held before it had a backend is queued as well, once.
 * Rule 5: writes take versions of the clock on the wall where there is a backend (versions.ts): several databases write to
 *   one, and the later write is to win. Never a number that is not above all those before it.
 */

import type { ManifestPut, TagVersion } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';

export type OutboxKind = 'blob' | 'manifest' | 'tag';
/** `name`: a tag, or a digest. */
export type OutboxKey = { readonly repo: string; readonly kind: OutboxKind; readonly name: string };
export type OutboxRow = OutboxKey & {
  readonly version: TagVersion;
  /** What the tag is on, or the digest itself; null: it was deleted. */
  readonly digest: Digest | null;
  /** Since when the backend lacks something of this key, milliseconds of the clock on the wall. */
  readonly sinceMs: number;
  /** Attempts that failed since the newest write. */
  readonly attempts: number;
};

/** A row as an operator looks at it. */
export type OutboxWaiting = OutboxRow & {
  readonly backend: string;
  /** When it may be tried next, milliseconds of the clock on the wall. */
  readonly dueMs: number;
  /** Why its last attempt failed; null: none has. */
  readonly cause: string | null;
};

/** What waits for one backend. */
export type OutboxState = {
  readonly backend: string;
  /** Why its last attempt failed; null: none has. */
  readonly cause: string | null;
  readonly rows: number;
  readonly sinceMs: number;
};

/** Whose writes leave rows. */
export type OutboxOptions = {
  /** The name of the backend of a repository. Undefined: it has none. */
  readonly backendOf: (repo: string) => string | undefined;
  /** Of the clock on the wall. */
  readonly nowMs: () => number;
};

/** A manifest as a backend has it. */
export type AdoptedManifest = Omit<ManifestPut, 'tags' | 'blobs' | 'proof' | 'after'> & {
  readonly blobs: readonly { readonly digest: Digest; readonly size: number }[];
};
/** `digest` null: it was deleted. */
export type AdoptedTag = { readonly digest: Digest | null; readonly version: TagVersion };
/** kept: what is here is as new, or newer, or waits to be written; lacking: its manifest is not here. */
export type Adopted = 'adopted' | 'kept' | 'lacking';

export type References = { readonly blobs: readonly Digest[]; readonly manifests: readonly Digest[] };
export type TagPlace = { readonly digest: Digest | undefined; readonly version: TagVersion | null };

/** Which rows: so many of those that are due by then, for as long as that. */
export type ClaimAt = { readonly nowMs: number; readonly n: number; readonly untilMs: number };

export interface OutboxReads {
  /** Rows of a backend that may be tried now, those that wait longest first, whoever holds them. */
  due(backend: string, nowMs: number, n: number): readonly OutboxRow[];
  /** When the next one may be, as far as is known: one that is held may count as due. Undefined: there is none. */
  nextDueMs(backend: string): number | undefined;
  pending(key: OutboxKey): OutboxRow | undefined;
  /** Rows in the order of their keys, without the first `skip`: what is written meanwhile may hide others. */
  waiting(skip: number, n: number): readonly OutboxWaiting[];
  /** By backend and cause. */
  outbox(): readonly OutboxState[];
  /** The blobs that a manifest refers to, and the manifests of an index that are here. */
  references(repo: string, digest: Digest): References;
  /** Whether an index of the repository has that manifest as one of its own, be it here or not. */
  listed(repo: string, digest: Digest): boolean;
  /** The version of a tag's last write, or of its deletion as far as that is remembered. Null: nobody knows of one. */
  tagState(repo: string, tag: string): TagPlace;
}

export interface OutboxWrites {
  /** Rows of a backend that may be tried now, and that nobody holds: held until then, or until `written` or `failed`. */
  claim(backend: string, at: ClaimAt): readonly OutboxRow[];
  /** Whoever claimed these works on them still, until then; 0: no more. */
  hold(keys: readonly OutboxKey[], untilMs: number): void;
  /** The backend has it: the row goes, unless a newer write has replaced it. Nobody holds the key then. */
  written(row: OutboxRow): void;
  /** Nobody holds the key then. */
  failed(row: OutboxRow, why: { readonly cause: string; readonly dueMs: number }): void;
  /** That one, or all that failed, may be tried now. How many they are. */
  retry(key: OutboxKey | undefined): number;
  /**
   * Of one repository that came to its backend since all of it was queued last, as it is older than the rule, or the rule
   * has changed: everything is queued. Its name; undefined: there is none left.
   */
  backfill(): string | undefined;
  /** Rows go to the backend that their repository has now; those that have none stay where they are. */
  reroute(): void;
  /** Somebody else has written so: what is written here from now on comes after it. */
  seen(version: TagVersion): void;
  /** The record and its links, whether or not the manifests of an index are here. */
  adoptManifest(repo: string, digest: Digest, manifest: AdoptedManifest): Adopted;
  /** The backend says that it was deleted. It is kept while a tag here is on it. */
  adoptDeletion(repo: string, digest: Digest, nowMs: number): Adopted;
  adoptBlob(repo: string, digest: Digest, size: number): Adopted;
  adoptTag(repo: string, tag: string, state: AdoptedTag): Adopted;
}
