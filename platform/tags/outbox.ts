/**
 * What others are to be told of what is written here, and what a backend tells: beside the tags in one database, part of any
 * TagStore. Who they are is in targets.ts: a repository has any number of targets.
 *
 * Rule 1: a write leaves rows in its own transaction, for each target of the repository that wants them: one each for a
 *   tag, a manifest and a blob's link, with the version of the write. What was acknowledged is thereby not lost before the
 *   target has it. One row a key and target: the newest write replaces what waits. Where a target has every write they
 *   are all kept, and of a repository only the first one is due, until it is written or dead.
 * Rule 2: a row goes once its target has that version, or a newer one of somebody else; never by age. What can never
 *   succeed is dead: it is kept, and tried no more until an operator has it tried again, or drops it.
 *   Who works on a row has claimed it for a while (`claim`), so that of several processes on one engine one does; the key
 *   is held beside newer writes of it, so that two of them are never under way at once. Whoever dies holds nothing for long.
 * Rule 3: what comes from a backend (`adopt...`) leaves no row, for no target, and never replaces what waits for the
 *   repository's own backend, or what is newer: whoever wrote it has told everybody.
 * Rule 4: what a repository held before it had a target is queued for that one as well, once; not where every write is wanted.
 * Rule 5: writes take versions of the clock on the wall where there are targets (versions.ts): several databases write to
 *   one, and the later write is to win. Never a number that is not above all those before it.
 * Rule 6: no write is refused for what waits. With one row a key there are never more than the engine holds tags, manifests
 *   and links. Where every write is one there are `rowsMax`: then further writes leave none there, which `onLost` tells.
 * Rule 7: rows of a target that the configuration names no more stay until an operator drops them; those of a backend go to
 *   the one that their repository has now (it may be the same bucket by another name).
 */

import type { ManifestPut, TagVersion } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import type { OutboxKind, OutboxTarget } from './targets.ts';

export type OutboxKey = {
  /** Its name. */
  readonly target: string;
  readonly repo: string;
  readonly kind: OutboxKind;
  /** A tag, or a digest. */
  readonly name: string;
  /** Where each write is a row: which one, in their order. Undefined: there is one row of the key. */
  readonly slot?: number | undefined;
};
export type OutboxRow = OutboxKey & {
  readonly version: TagVersion;
  /** What the tag is on, or the digest itself; null: it was deleted. */
  readonly digest: Digest | null;
  /** Since when the target lacks something of this key, milliseconds of the clock on the wall. */
  readonly sinceMs: number;
  /** Attempts that failed since the newest write. */
  readonly attempts: number;
};

/** A row as an operator looks at it. */
export type OutboxWaiting = OutboxRow & {
  /** When it may be tried next, milliseconds of the clock on the wall; of one behind another: when it came. */
  readonly dueMs: number;
  /** Why its last attempt failed; null: none has. */
  readonly cause: string | null;
  /** It is not tried any more by itself. */
  readonly dead: boolean;
};
/** Rows that have all of that; of `dead` undefined: whether or not. */
export type OutboxChoice = { readonly [P in keyof OutboxKey]?: OutboxKey[P] | undefined } & {
  readonly dead?: boolean | undefined;
};

/** What waits for one target. */
export type OutboxState = {
  readonly target: string;
  /** Why its last attempt failed; null: none has. */
  readonly cause: string | null;
  readonly dead: boolean;
  readonly rows: number;
  readonly sinceMs: number;
};

/** Whose writes leave rows. */
export type OutboxOptions = {
  /** Of a repository; their names are unique. */
  readonly targetsOf: (repo: string) => readonly OutboxTarget[];
  /** Of the clock on the wall. */
  readonly nowMs: () => number;
  /** A write has left rows for these targets. It is committed once whoever is called here has returned to the event loop. */
  readonly onTold?: ((targets: readonly string[]) => void) | undefined;
  /** A write left no rows for this target, since it is full. */
  readonly onLost?: ((target: string, rows: number) => void) | undefined;
  /** What waits for this target waits for more: the engine holds something in its place that is none of ours. Told repeatedly. */
  readonly onDamaged?: ((target: string, why: string) => void) | undefined;
};

/** What was queued of a repository for a target that it has come to. */
export type Filled = { readonly repo: string; readonly target: string };

/** A manifest as a backend has it. */
export type AdoptedManifest = Omit<ManifestPut, 'tags' | 'blobs' | 'proof' | 'after'> & {
  readonly blobs: readonly { readonly digest: Digest; readonly size: number }[];
};
/** `digest` null: it was deleted. */
export type AdoptedTag = { readonly digest: Digest | null; readonly version: TagVersion };
/** kept: what is here is as new, or newer, or waits for the backend; lacking: its manifest is not here. */
export type Adopted = 'adopted' | 'kept' | 'lacking';

export type References = { readonly blobs: readonly Digest[]; readonly manifests: readonly Digest[] };
export type TagPlace = { readonly digest: Digest | undefined; readonly version: TagVersion | null };

export type OutboxFailure = { readonly cause: string; readonly dueMs: number; readonly dead?: boolean | undefined };

/** Which rows: so many of those that are due by then, for as long as that. */
export type ClaimAt = { readonly nowMs: number; readonly n: number; readonly untilMs: number };

export interface OutboxReads {
  /** Rows of a target that may be tried now, those that wait longest first, whoever holds them. */
  due(target: string, nowMs: number, n: number): readonly OutboxRow[];
  /** When the next one may be, as far as is known: one that is held may count as due. Undefined: there is none. */
  nextDueMs(target: string): number | undefined;
  pending(key: OutboxKey): OutboxRow | undefined;
  /** Rows in the order of their keys, without the first `skip`: what is written meanwhile may hide others. */
  waiting(skip: number, n: number, of?: Pick<OutboxChoice, 'target' | 'dead'>): readonly OutboxWaiting[];
  /** By target, cause, and whether they are dead. */
  outbox(): readonly OutboxState[];
  /** The blobs that a manifest refers to, and the manifests of an index that are here. */
  references(repo: string, digest: Digest): References;
  /** Whether an index of the repository has that manifest as one of its own, be it here or not. */
  listed(repo: string, digest: Digest): boolean;
  /** The version of a tag's last write, or of its deletion as far as that is remembered. Null: nobody knows of one. */
  tagState(repo: string, tag: string): TagPlace;
}

export interface OutboxWrites {
  /** Rows of a target that may be tried now, and that nobody holds: held until then, or until `written` or `failed`. */
  claim(target: string, at: ClaimAt): readonly OutboxRow[];
  /** Whoever claimed these works on them still, until then; 0: no more. */
  hold(keys: readonly OutboxKey[], untilMs: number): void;
  /** The target has it: the row goes, unless a newer write has replaced it. Nobody holds the key then. */
  written(row: OutboxRow): void;
  /** Nobody holds the key then. `dead`: it is not tried again by itself. */
  failed(row: OutboxRow, why: OutboxFailure): void;
  /** Those of that name, whatever they are; where none is given, those that failed: they may be tried now. How many they are. */
  retry(of: OutboxChoice): number;
  /** What was promised of them is given up. How many they were. */
  drop(of: OutboxChoice): number;
  /**
   * Of repositories that came to a target since all of them was queued last, as they are older than the rule, or it has
   * changed: everything that it wants is queued. Some of them; none: there is none left.
   */
  backfill(): readonly Filled[];
  /** Every repository counts as not brought to that target: `backfill` queues all of them anew. How many there are. */
  refill(target: string): number;
  /** Rows for a backend that their repository has no more go to the one that it has; where it has none they stay. */
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
