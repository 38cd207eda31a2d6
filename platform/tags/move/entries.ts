/**
 * What an engine holds, as entries that every engine gives and takes alike: what `shoal index move` carries and compares.
 *
 * Rule 1: all that makes up the state is an entry. What is not, says why: leases of the outbox (whoever holds one is another
 *   process), who wrote last in PostgreSQL, and named writes (callers ask for one again within seconds, and are refused all writes
 *   for longer than that).
 * Rule 2: of each kind every engine gives them in the same order (`orderOf`), each key once, and equal ones as equal values:
 *   what an engine does not tell apart is left out, or said in one way.
 * Rule 3: kinds come in the order of KINDS: what a later one rests on is there before it.
 * Rule 4: a new column, table or key is one more field, or one more kind, here; moving.test.ts of an engine fails until it is.
 */

import { isDeepStrictEqual } from 'node:util';
import type { TagVersion } from '../../../core/contracts/index-api.ts';
import type { Digest } from '../../../core/digest.ts';
import type { StoredDocument } from '../documents.ts';
import type { OutboxRow } from '../outbox.ts';

export const KINDS = [
  'unlinked',
  'repo',
  'brought',
  'blob',
  'manifest',
  'idle',
  'tag',
  'outbox',
  'numbers',
  'succession',
  'document',
] as const;
export type EntryKind = (typeof KINDS)[number];

/** What `on` says of itself is that of its manifest. `on` null: it was deleted at that version. */
type TagEntry = {
  readonly repo: string;
  readonly tag: string;
  readonly version: TagVersion;
  readonly on: { readonly digest: Digest; readonly mediaType: string; readonly size: number } | null;
};

export type ManifestEntry = {
  readonly repo: string;
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  readonly subject: Digest | null;
  readonly artifactType: string | null;
  readonly annotations: Readonly<Record<string, string>> | null;
  /** Each once, in order; what is named as both is a manifest. */
  readonly blobs: readonly Digest[];
  readonly manifests: readonly Digest[];
};

/** `state`: as the engines have it (sqlite/targets.ts). */
type OutboxEntry = Required<OutboxRow> & {
  readonly slot: number;
  readonly state: number;
  readonly dueMs: number;
  readonly cause: string | null;
};

export type Entries = {
  /** Since when nothing links to it; or when, in which generation, it was condemned. */
  readonly unlinked: { readonly digest: Digest } & (
    | { readonly sinceMs: number }
    | { readonly toldMs: number; readonly generation: number }
  );
  readonly repo: { readonly repo: string };
  /** A target that all of the repository was queued for, or comes from. */
  readonly brought: { readonly repo: string; readonly target: string };
  readonly blob: { readonly digest: Digest; readonly repo: string; readonly size: number };
  readonly manifest: ManifestEntry;
  /** Since when no manifest of the repository has referred to the blob (platform/tags/idle.ts). */
  readonly idle: { readonly digest: Digest; readonly repo: string; readonly sinceMs: number };
  readonly tag: TagEntry;
  readonly outbox: OutboxEntry;
  /** The last generation, the last number of a write, and the last one whose tombstone was forgotten. One entry. */
  readonly numbers: { readonly generation: number; readonly version: number; readonly forgotten: number };
  /** A database that this one comes after, as it was restored from a copy of it. */
  readonly succession: { readonly id: string; readonly trusted: boolean };
  readonly document: { readonly name: string } & StoredDocument;
};

/** `replace`: there is one of that key, which says something else. */
export type Change<K extends EntryKind = EntryKind> = {
  readonly [Of in K]: { readonly kind: Of; readonly how: 'add' | 'replace' | 'remove'; readonly entry: Entries[Of] };
}[K];

/** Of the largest that is exact. */
const slotDigits = 16;

/** What entries of a kind are ordered by, and told apart: text by its code units. */
const ORDER: { readonly [K in EntryKind]: (entry: Entries[K]) => readonly string[] } = {
  unlinked: ({ digest }) => [digest],
  repo: ({ repo }) => [repo],
  brought: ({ repo, target }) => [repo, target],
  blob: ({ digest, repo }) => [digest, repo],
  manifest: ({ repo, digest }) => [repo, digest],
  idle: ({ digest, repo }) => [digest, repo],
  // As they are listed.
  tag: ({ repo, tag }) => [repo, tag.toLowerCase(), tag],
  outbox: ({ target, repo, slot, kind, name }) => [target, repo, String(slot).padStart(slotDigits, '0'), kind, name],
  numbers: () => [],
  succession: ({ id }) => [id],
  document: ({ name }) => [name],
};

export function compareEntries<K extends EntryKind>(kind: K, one: Entries[K], two: Entries[K]): number {
  const [a, b] = [ORDER[kind](one), ORDER[kind](two)];
  for (const [i, part] of a.entries()) {
    const other = b[i] ?? '';
    if (part !== other) return part < other ? -1 : 1;
  }
  return 0;
}

/** What attempts have come to is brought, but changes all the time: it is not looked at. */
const PASSING: readonly string[] = ['state', 'dueMs', 'attempts', 'cause'];

export function sameEntry<K extends EntryKind>(kind: K, one: Entries[K], two: Entries[K]): boolean {
  if (kind !== 'outbox') return isDeepStrictEqual(one, two);
  const lasting = (of: object) => Object.entries(of).filter(([key]) => !PASSING.includes(key));
  return isDeepStrictEqual(new Map(lasting(one)), new Map(lasting(two)));
}

/** References as they are said in a ManifestEntry. */
export function referencesOf(
  blobs: readonly Digest[],
  manifests: readonly Digest[],
): Pick<ManifestEntry, 'blobs' | 'manifests'> {
  const children = new Set(manifests);
  return {
    blobs: [...new Set(blobs)].filter((digest) => !children.has(digest)).sort(),
    manifests: [...children].sort(),
  };
}
