/** What whoever gives bytes asks of the blocked digests. */

import type { Digest } from '../../core/digest.ts';
import type { SourceChunk } from '../http/content.ts';
import type { Blocked } from './blocks.ts';

/** Throws DENIED where any of these is blocked. */
export function heedBlocked(blocked: Blocked | undefined, ...digests: readonly (Digest | undefined)[]): void {
  if (blocked === undefined || blocked.list.size === 0) return;
  for (const digest of digests) {
    const block = digest && blocked.list.get(digest);
    if (block !== undefined) throw blocked.refused(block);
  }
}

/** The bytes, until the digest is blocked: then DENIED, which cuts the answer. */
export async function* untilBlocked<C extends SourceChunk>(
  blocked: Blocked,
  digest: Digest,
  bytes: AsyncIterable<C>,
): AsyncGenerator<C, void, undefined> {
  for await (const chunk of bytes) {
    const block = blocked.list.get(digest);
    if (block !== undefined) {
      chunk.release();
      throw blocked.refused(block);
    }
    yield chunk;
  }
}
