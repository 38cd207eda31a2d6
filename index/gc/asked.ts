/**
 * Who asks for a manifest by its digest has it begin anew, where a rule would have it go some day: a push that is spared an
 * upload, a host that was told the digest.
 *
 * Rule 1: it is noted before the answer; the first of many that ask at once notes it for all, and for a while.
 * Rule 2: where it cannot be noted the answer is given all the same: nothing goes from such an engine either.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { UntaggedStore } from '../../platform/tags/untagged.ts';
import type { SingleReads } from '../herd.ts';

/** Noted again after this part of the shortest time that a rule gives, and an hour at most. */
const part = 10;
const againMaxMs = 3_600_000;
/** About 200 bytes each; beyond that all are forgotten, and noted once more. */
const notedMax = 20_000;

export type AskedParts = {
  readonly untagged: Pick<UntaggedStore, 'askedFor'>;
  readonly nowMs: () => number;
  /** The shortest time that a rule gives. */
  readonly leastMs: number;
  readonly off: () => string | undefined;
};
type Noted = { readonly atMs: number; readonly there: Promise<boolean> };

export function notingAsked(reads: SingleReads, { untagged, nowMs, leastMs, off }: AskedParts): SingleReads {
  const againMs = Math.min(againMaxMs, leastMs / part);
  const noted = new Map<string, Noted>();
  const note = (key: string, ...of: Parameters<UntaggedStore['askedFor']>): Promise<boolean> => {
    if (noted.size >= notedMax) noted.clear();
    const there = untagged.askedFor(...of);
    const entry = { atMs: of[2], there };
    noted.set(key, entry);
    const forget = (): unknown => noted.get(key) === entry && noted.delete(key);
    there.then((held) => held || forget(), forget);
    return there;
  };
  return {
    tag: (repo, tag) => reads.tag(repo, tag),
    async manifest(repo, digest) {
      const record = await reads.manifest(repo, digest);
      if (record === undefined || off() !== undefined) return record;
      const key = `${repo} ${digest}`;
      const now = nowMs();
      const known = noted.get(key);
      try {
        const there = await (known !== undefined && now - known.atMs < againMs
          ? known.there
          : note(key, repo, digest, now));
        // It went in between; or it went, and was pushed again.
        return there ? record : await reads.manifest(repo, digest);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        return record;
      }
    },
  };
}
