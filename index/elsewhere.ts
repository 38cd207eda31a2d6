/**
 * Writes of tags that were made in another cluster, and keep their version (`as`).
 *
 * Rule: a version that no clock of a cluster can have given is refused before anything of the write is done: all that is
 *   written here from then on would have to come after it.
 */

import { ApiError } from '../core/contracts/errors.ts';
import type { TagVersion, TagWritten } from '../core/contracts/index-api.ts';
import { wrongAs } from '../platform/tags/versions.ts';

/** `nowMs`: of the clock on the wall. */
export function refuseWrongAs(as: TagVersion | undefined, nowMs: number): void {
  const wrong = as === undefined ? undefined : wrongAs(as, nowMs);
  if (wrong !== undefined) throw new ApiError('TAG_VERSION_INVALID', `the version ${as} ${wrong}`);
}

/** Undefined: no tag was to be set. */
export function tagsWritten({
  version,
  kept,
}: {
  readonly version?: TagVersion | undefined;
  readonly kept?: TagVersion | undefined;
}): TagWritten | undefined {
  if (kept !== undefined) return { version: kept, kept: true };
  return version === undefined ? undefined : { version };
}
