/** The document `blocks`: digests that nobody is given any more, with who said so and why. */

import type { Digest } from '../../digest.ts';
import { ApiError } from '../errors.ts';
import { digest } from '../fields.ts';
import { finite, listOf, optional, type Parser, record, text } from '../parse.ts';

/** Of one list: what a document may have, where each has the longest reason there is. */
export const blockedMax = 1_000;
const reasonCharsMax = 200;
export const blockByCharsMax = 64;

export type Block = {
  readonly digest: Digest;
  readonly reason?: string | undefined;
  /** Milliseconds since 1970. */
  readonly sinceMs: number;
  /** The user at whose shell it was said. */
  readonly by?: string | undefined;
};

/** Of `shoal block --reason`. */
export const blockReason: Parser<string> = text(reasonCharsMax, 1);
const block: Parser<Block> = record({
  digest,
  reason: optional(text(reasonCharsMax)),
  sinceMs: finite,
  by: optional(text(blockByCharsMax)),
});
const body = record({ blocked: listOf(block, blockedMax) });

/** What a document says; throws Malformed. Undefined: there is none. */
export function blocksIn(document: unknown): readonly Block[] {
  return document === undefined ? [] : body(document).blocked;
}

export function blocksDocument(blocked: readonly Block[]): unknown {
  return { blocked };
}

/** What whoever asks for it is told. */
export function blockedError({ digest: blocked, reason }: Block): ApiError {
  const why = reason === undefined || reason === '' ? '' : ` (${reason})`;
  return new ApiError(
    'DENIED',
    `${blocked} is blocked in this cluster${why}: whoever operates it may say \`shoal unblock\``,
    { blocked, ...(reason === undefined ? {} : { reason }) },
  );
}
