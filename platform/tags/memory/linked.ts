/** Which digests have a link, in memory. */

import type { Digest } from '../../../core/digest.ts';
import type { MemoryRepository } from './repository.ts';

/** Whether any of them has it, or refers to it. */
export function isLinked(repos: Iterable<MemoryRepository>, digest: Digest): boolean {
  return [...repos].some(
    ({ blobs, manifests }) =>
      blobs.has(digest) ||
      manifests.has(digest) ||
      [...manifests.values()].some(({ targets }) => targets.includes(digest)),
  );
}
