/** What an operator asks an index of the clusters and registries that its writes go to: `shoal replicate`. */

import type { Digest } from '../../digest.ts';
import { repositoryPatternValid } from '../../oci/pattern.ts';
import { remotesMax } from '../../replicate/rules.ts';
import { byteCount, digest } from '../fields.ts';
import { type TagVersion, versionOfTag } from '../index-api.ts';
import { closed, flag, listOf, oneOf, optional, type Parser, record, text, textThat, whole } from '../parse.ts';
import { route } from '../route.ts';

const nameMax = 400;
const urlMax = 2_048;
const messageMax = 4_096;
const causesMax = 64;
/** Repositories that one step of a comparison looks at. */
export const diffRepositoriesMax = 100;
/** Differences of one step that are named; the others are counted. */
export const differencesMax = 5_000;

export type RemoteStatus = {
  readonly name: string;
  readonly url: string;
  readonly kind: 'shoal' | 'registry';
  /** Which cluster it said to be; absent: it has not been asked yet, or is none that says. */
  readonly cluster?: string | undefined;
  /** Why it is left alone now; absent: it is not. */
  readonly down?: { readonly cause: string; readonly message: string } | undefined;
  /** Writes that it has not got yet, and those of them that are not tried again by themselves. */
  readonly waiting: number;
  readonly dead: number;
  /** Since when the oldest that is tried has waited, milliseconds of the clock on the wall. */
  readonly oldestMs?: number | undefined;
  readonly causes: readonly { readonly cause: string; readonly rows: number }[];
};
/** `cluster`: this one, as its index knows itself. */
export type ReplicationStatus = { readonly cluster: string; readonly remotes: readonly RemoteStatus[] };

export type DiffStep = {
  readonly remote: string;
  /** A pattern. Default: all that the rules have. */
  readonly repositories?: string | undefined;
  /** `next` of the step before. */
  readonly from?: string | undefined;
};
/** missing: only here; extra: only there; digest: on another manifest; version: of another write of the same manifest. */
export type TagDifference = {
  readonly repo: string;
  readonly tag: string;
  readonly how: 'missing' | 'extra' | 'digest' | 'version';
  readonly here?: { readonly digest: Digest; readonly version?: TagVersion | undefined } | undefined;
  readonly there?: { readonly digest: Digest; readonly version?: TagVersion | undefined } | undefined;
  /** A write of it is on its way there. */
  readonly waiting: boolean;
};
export type DiffReply = {
  readonly repositories: number;
  /** That were compared. */
  readonly tags: number;
  readonly differences: readonly TagDifference[];
  /** How many there are. */
  readonly different: number;
  /** The remote lists no repositories: those that are only there were not looked for. */
  readonly unlisted: boolean;
  /** Undefined: that was all. */
  readonly next?: string | undefined;
};

const remote = text(nameMax, 1);
const place = record({ digest, version: optional(versionOfTag) });
const status: Parser<ReplicationStatus> = record({
  cluster: text(nameMax),
  remotes: listOf(
    record({
      name: remote,
      url: text(urlMax),
      kind: oneOf('shoal', 'registry'),
      cluster: optional(text(nameMax)),
      down: optional(record({ cause: text(nameMax), message: text(messageMax) })),
      waiting: byteCount,
      dead: byteCount,
      oldestMs: optional(byteCount),
      causes: listOf(record({ cause: text(nameMax), rows: byteCount }), causesMax),
    }),
    remotesMax,
  ),
});
const diffReply: Parser<DiffReply> = record({
  repositories: whole(diffRepositoriesMax),
  tags: byteCount,
  differences: listOf(
    record({
      repo: text(nameMax),
      tag: text(nameMax),
      how: oneOf('missing', 'extra', 'digest', 'version'),
      here: optional(place),
      there: optional(place),
      waiting: flag,
    }),
    differencesMax,
  ),
  different: byteCount,
  unlisted: flag,
  next: optional(text(nameMax)),
});

export const REPLICATE = {
  status: route('GET', '/v1/replication', { reply: status }),
  /** All that the rules have goes there once more. Answers how many repositories are queued. */
  backfill: route('POST', '/v1/replication/backfills', {
    body: closed({ remote }),
    reply: record({ repositories: byteCount }),
  }),
  /** A step of a comparison. Nothing changes by it. */
  diff: route('POST', '/v1/replication/diffs', {
    body: closed({
      remote,
      repositories: optional(textThat(repositoryPatternValid, 'is no pattern of a repository')),
      from: optional(text(nameMax)),
    }) satisfies Parser<DiffStep>,
    reply: diffReply,
  }),
} as const;
