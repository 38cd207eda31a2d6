/** Whether an answer to a request for a range is that range. Pure. */

import type { BackendCause } from '../backend.ts';

export type RangeSaid = { readonly contentRange: string | undefined; readonly contentLength: number | undefined };

/** What is wrong with it, about the object; undefined: nothing. */
export function rangeProblem(
  { contentRange, contentLength }: RangeSaid,
  { start, end }: { readonly start: number; readonly end: number },
): { readonly why: BackendCause; readonly words: string } | undefined {
  const [, from, to, size] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(contentRange ?? '') ?? [];
  if (from === undefined) {
    // Some answer a range that is all of the object with the object.
    if (start === 0 && contentLength === end) return undefined;
    return { why: 'unsupported', words: 'cannot be read by ranges: what answers ignores them' };
  }
  if (Number(to) < end - 1)
    return { why: 'damaged', words: `has ${size} bytes, and ${end} were to be there: look at the object` };
  if (Number(from) !== start || Number(to) !== end - 1)
    return { why: 'damaged', words: `was asked for bytes ${start} to ${end - 1}, and ${from} to ${to} came` };
  return undefined;
}
