/** Reconciling an index with its backends, a step at a time: each call looks at some keys there and says where the next begins. */

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

export type ReconcileStep = {
  /** Else it is only told what would be done. */
  readonly apply: boolean;
  /** Default: all. */
  readonly repositories?: string | undefined;
  /** `next` of the step before. */
  readonly from?: string | undefined;
  readonly keys: number;
};
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
};

const named = { kind: oneOf('blob', 'manifest', 'tag'), repo: text(nameMax), name: text(nameMax) };
const digestOrNull: Parser<Digest | null> = (value) => (value === null ? null : digest(value));

export const reconcileStep: Parser<ReconcileStep> = closed({
  apply: flag,
  repositories: optional(textThat(repositoryPatternValid, 'is no pattern of a repository')),
  from: optional(text(cursorMax)),
  keys: whole(reconcileKeysMax),
});
export const reconcileReply: Parser<ReconcileReply> = record({
  looked: whole(reconcileKeysMax),
  changes: listOf(
    record({ ...named, how: oneOf('added', 'moved', 'removed'), digest: digestOrNull }),
    reconcileKeysMax,
  ),
  broken: listOf(record({ ...named, why: text(whyMax) }), reconcileKeysMax),
  next: optional(text(cursorMax)),
});
