/**
 * Writes of tags that were made in another cluster, and keep their version (`as`).
 *
 * Rule: a version that no clock of a cluster can have given is refused before anything of the write is done: all that is
 *   written here from then on would have to come after it.
 */

import { ApiError } from '../core/contracts/errors.ts';
import type { TagVersion, TagWritten } from '../core/contracts/index-api.ts';
import type { Digest } from '../core/digest.ts';
import type { StillNeeded, TagStore } from '../platform/tags/store.ts';
import { writerOf, wrongAs } from '../platform/tags/versions.ts';

/** Of a manifest that stays: whoever asks looks whether these wait for deletion as well. */
const tagsToldMax = 1_000;

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

/** Whether a write that another cluster tells us of is one of ours, that has gone round. */
export async function madeHere(store: Pick<TagStore, 'unlinked'>, version: TagVersion): Promise<boolean> {
  return (await store.unlinked([])).index === writerOf(version);
}

export function refuseNeeded(repo: string, digest: Digest, { tags }: StillNeeded): never {
  const by = tags.length === 0 ? 'an index has it' : `${tags.length} tags are on it`;
  throw new ApiError('MANIFEST_NEEDED', `manifest ${digest} of repository ${repo} stays: ${by}`, {
    tags: tags.slice(0, tagsToldMax),
  });
}
