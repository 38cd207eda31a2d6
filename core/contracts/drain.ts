/** What an operator asks of an origin that is to be switched off for good: move what only it holds, and say when. */

import { byteCount } from './fields.ts';
import { flag, listOf, optional, type Parser, record, text } from './parse.ts';
import { route } from './route.ts';

export type DrainState = {
  readonly draining: boolean;
  /** Nothing is lost if it is switched off now, and for good. */
  readonly mayStop: boolean;
  /** What stands in the way, a line each. */
  readonly why: readonly string[];
  /** Blobs here; of them, those that some owner does not hold yet, and their bytes. */
  readonly blobs: number;
  readonly left: number;
  readonly leftBytes: number;
  /** Blobs that stay behind, since nothing links to them. */
  readonly unlinked: number;
  readonly uploads: number;
  /** Rows that are owed to backends. */
  readonly owed: number;
  /** When all of it was looked at last, milliseconds ago; absent: not yet. */
  readonly lookedMsAgo?: number | undefined;
};

const whyMax = 32;
const lineMax = 4096;
const state: Parser<DrainState> = record({
  draining: flag,
  mayStop: flag,
  why: listOf(text(lineMax), whyMax),
  blobs: byteCount,
  left: byteCount,
  leftBytes: byteCount,
  unlinked: byteCount,
  uploads: byteCount,
  owed: byteCount,
  lookedMsAgo: optional(byteCount),
});

export const DRAIN = {
  state: route('GET', '/v1/drain', { reply: state }),
  /** From now on, and after a restart. Again is harmless. */
  begin: route('POST', '/v1/drain', { reply: state }),
  cancel: route('DELETE', '/v1/drain', { reply: state }),
} as const;
