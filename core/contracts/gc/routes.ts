/** What nobody needs any more goes by itself: what origins ask of the index for it, and operators of both. */

import type { Digest } from '../../digest.ts';
import { byteCount, digest } from '../fields.ts';
import { type CondemnReply, condemnMax, type IndexSaid, unlinkedMax } from '../index-api.ts';
import { closed, flag, listOf, optional, type Parser, record, text, whole } from '../parse.ts';
import { route } from '../route.ts';
import { indexSaid } from './succession.ts';

/** How origins go about it. */
export type GcRules = {
  /** What nothing has referred to for so long goes. */
  readonly graceMs: number;
  /** So often each origin asks about all that it holds. */
  readonly everyMs: number;
  /** About so many blobs in a second. */
  readonly rate: number;
  /** Why nothing goes now; absent: it does. */
  readonly off?: string | undefined;
};

/** Of `digests`, those that would go now. Nothing changes by the question. */
export type UselessReply = IndexSaid & { readonly useless: readonly Digest[] };

/** Of what an index lost, and backends that say so (`delete: true`) are not to keep. */
export type GcBackends = {
  /** Blobs that went from them in this step, and those that could not. */
  readonly gone: number;
  readonly failed: number;
  /** Those whose grace is not over, and those whose is. */
  readonly waiting: number;
  readonly due: number;
  /** Why none goes, or the last one did not. */
  readonly off?: string | undefined;
};

/** Of a rule by which manifests without a tag go. `due`: they would, or could not; `waiting`: they are not old enough. */
export type GcRetention = {
  readonly repositories: readonly string[];
  readonly untaggedMs: number;
  readonly gone: number;
  readonly due: number;
  readonly waiting: number;
};

/** What an index has to do itself: a part of it each time. `apply`: it is done; else only counted. */
export type GcStepRequest = { readonly apply: boolean };
export type GcStep = {
  /** Links that nobody needed, which went in this step. */
  readonly links: number;
  readonly bytes: number;
  /** Others are due as well: ask again. */
  readonly more: boolean;
  /** Links that no manifest refers to; those that are due. An index whose store has no list of them says none. */
  readonly idle: number;
  readonly due: number;
  readonly dueBytes: number;
  /** Absent: no backend says so. */
  readonly backends?: GcBackends | undefined;
  /** So far, where it is asked until there is no more. Absent: there is no rule. */
  readonly retention?: readonly GcRetention[] | undefined;
  readonly off?: string | undefined;
};

/** A walk of an origin through all that it holds. */
export type GcRound = {
  /** false: it only counts what would go. */
  readonly apply: boolean;
  readonly running: boolean;
  readonly looked: number;
  readonly of: number;
  /** What went, or would. */
  readonly blobs: number;
  readonly bytes: number;
  /** Of what nothing links to: not for long enough yet. */
  readonly waiting: number;
  /** A backend is still owed them. */
  readonly owed: number;
  /** Why it broke off, or did not begin. */
  readonly why?: string | undefined;
};

const whyMax = 4096;
/** More than an index takes (index/gc/config.ts). */
const rulesMax = 1_000;
const patternMax = 1_024;
const count = whole(Number.MAX_SAFE_INTEGER);
const off = optional(text(whyMax));
const backends = record({
  ...{ gone: count, failed: count, waiting: count, due: count, off },
}) satisfies Parser<GcBackends>;

const retention = record({
  ...{ repositories: listOf(text(patternMax), rulesMax), untaggedMs: count, gone: count, due: count, waiting: count },
}) satisfies Parser<GcRetention>;

export const INDEX_GC = {
  rules: route('GET', '/v1/gc', {
    reply: record({ graceMs: count, everyMs: count, rate: count, off }) satisfies Parser<GcRules>,
  }),
  /** As INDEX.condemn, of what nothing has referred to for `graceMs`. An index of a release before knows no such path. */
  condemn: route('POST', '/v1/gc/condemned', {
    body: closed({ digests: listOf(digest, condemnMax) }),
    reply: record({
      ...indexSaid,
      condemned: listOf(digest, condemnMax),
      waiting: whole(condemnMax),
    }) satisfies Parser<CondemnReply>,
  }),
  useless: route('POST', '/v1/gc/useless', {
    body: closed({ digests: listOf(digest, unlinkedMax) }),
    reply: record({ ...indexSaid, useless: listOf(digest, unlinkedMax) }) satisfies Parser<UselessReply>,
  }),
  step: route('POST', '/v1/gc/steps', {
    body: closed({ apply: flag }) satisfies Parser<GcStepRequest>,
    reply: record({
      links: count,
      bytes: byteCount,
      more: flag,
      idle: count,
      due: count,
      dueBytes: byteCount,
      backends: optional(backends),
      retention: optional(listOf(retention, rulesMax)),
      off,
    }) satisfies Parser<GcStep>,
  }),
} as const;

const round = record({
  ...{ apply: flag, running: flag, looked: count, of: count, blobs: count, bytes: byteCount },
  ...{ waiting: count, owed: count, why: optional(text(whyMax)) },
}) satisfies Parser<GcRound>;

export const ORIGIN_GC = {
  /** The round that runs, or the last one. */
  state: route('GET', '/v1/gc', { reply: round }),
  /** Begins one, unless one runs; of the same kind it is joined, else 409. */
  begin: route('POST', '/v1/gc', { body: closed({ apply: flag }) satisfies Parser<GcStepRequest>, reply: round }),
} as const;
