/** Reconciling an index with its backends, or importing from one, a step at a time: each call looks at some keys there and says where the next begins. */

import type { Digest } from '../digest.ts';
import { repositoryPatternValid } from '../oci/pattern.ts';
import { digest } from './fields.ts';
import { closed, flag, listOf, oneOf, optional, type Parser, record, text, textThat, whole } from './parse.ts';

/** Keys of a backend that one step looks at: some seconds of a backend that takes its time. */
export const reconcileKeysMax = 500;
/** Characters of a cursor: a backend's name and a key of it. */
const cursorMax = 2_000;
const nameMax = 400;
const whyMax = 2_000;
/** As S3 has keys, in characters. */
const keyMax = 1_024;
/** Of objects that no scheme made so many are named. */
export const foreignNamesMax = 20;

export type ReconcileStep = {
  /** Else it is only told what would be done. */
  readonly apply: boolean;
  /** Default: all. */
  readonly repositories?: string | undefined;
  /** `next` of the step before. */
  readonly from?: string | undefined;
  readonly keys: number;
  readonly import?: ImportStep | undefined;
};
/** Of an import: `backend` alone, and all of its keys. */
export type ImportStep = { readonly backend: string; readonly overwrite: boolean };
export type ReconcileKind = 'blob' | 'manifest' | 'tag';
type Named = { readonly kind: ReconcileKind; readonly repo: string; readonly name: string };
/** `digest`: what a tag is on now; null: it is gone. */
export type ReconcileChange = Named & { readonly how: 'added' | 'moved' | 'removed'; readonly digest: Digest | null };
/** What the backend has and nobody can use. */
export type ReconcileBroken = Named & { readonly why: string };
export type ReconcileReply = {
  readonly looked: number;
  readonly changes: readonly ReconcileChange[];
  readonly broken: readonly ReconcileBroken[];
  /** Undefined: that was all. */
  readonly next?: string | undefined;
  /** Of an import: tags that were looked at. */
  readonly tags?: number | undefined;
  /** Objects that no scheme made, and some of their keys. */
  readonly foreign?: { readonly count: number; readonly names: readonly string[] } | undefined;
  /** Repositories that by the rules rest elsewhere, so that their blobs could not be had. */
  readonly refused?: readonly { readonly repo: string; readonly backend?: string | undefined }[] | undefined;
};

const named = { kind: oneOf('blob', 'manifest', 'tag'), repo: text(nameMax), name: text(nameMax) };
const digestOrNull: Parser<Digest | null> = (value) => (value === null ? null : digest(value));

export const reconcileStep: Parser<ReconcileStep> = closed({
  apply: flag,
  repositories: optional(textThat(repositoryPatternValid, 'is no pattern of a repository')),
  from: optional(text(cursorMax)),
  keys: whole(reconcileKeysMax),
  import: optional(closed({ backend: text(nameMax), overwrite: flag })),
});
export const reconcileReply: Parser<ReconcileReply> = record({
  looked: whole(reconcileKeysMax),
  changes: listOf(
    record({ ...named, how: oneOf('added', 'moved', 'removed'), digest: digestOrNull }),
    reconcileKeysMax,
  ),
  broken: listOf(record({ ...named, why: text(whyMax) }), reconcileKeysMax),
  next: optional(text(cursorMax)),
  tags: optional(whole(reconcileKeysMax)),
  foreign: optional(record({ count: whole(reconcileKeysMax), names: listOf(text(keyMax), foreignNamesMax) })),
  refused: optional(listOf(record({ repo: text(nameMax), backend: optional(text(nameMax)) }), reconcileKeysMax)),
});
