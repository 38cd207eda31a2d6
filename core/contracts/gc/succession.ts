/**
 * An index that was restored from a backup is another one than before, and forgot what came after it: whom it comes after, and
 * whether a person has said since that it knows what is needed (`shoal reconcile --apply`, `shoal index trust`).
 */

import { flag, listOf, optional, type Parser, record, textThat } from '../parse.ts';

/** Restored so often: a year of weekly rehearsals. */
const formerMax = 64;

export type Succession = {
  /** Identities that this index had, or that were put aside for it: origins may have gone by any of them. */
  readonly of: readonly string[];
  /** Until then what nothing links to may only have been forgotten. */
  readonly trusted: boolean;
};

/** Which database an index is. */
const databaseId = textThat((value) => /^[0-9a-f]{32}$/.test(value), 'is not 32 hex digits');

export const succession: Parser<Succession> = record({ of: listOf(databaseId, formerMax), trusted: flag });

/** Of an answer by whose word something may go: who says so. */
export const indexSaid = { index: databaseId, succeeds: optional(succession) };
