/**
 * Which blobs somebody needs: those that the index links to, by the word of the index that this origin goes by.
 *
 * Rule: where that index was restored, and nobody has said since that it knows what is needed, all of them may be: copies are
 *   made and kept, since what it forgot may have too few.
 */

import { type IndexSaid, type UnlinkedReply, unlinkedMax } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import { CallContext } from '../../platform/clients/context.ts';

type Index = { unlinked(digests: readonly Digest[], ctx: CallContext): Promise<UnlinkedReply> };
export type AskLinked = (digests: readonly Digest[], signal: AbortSignal) => Promise<ReadonlySet<Digest>>;

type AskStanding = (said: IndexSaid) => Promise<'known' | 'doubted'>;

/** `index` undefined: none is configured, and every blob may be needed. `standing`: rejects where it is another one than before. */
export function linkedBy(index: Index | undefined, standing: AskStanding): AskLinked {
  return async (digests, signal) => {
    const linked = new Set(digests);
    if (index === undefined) return linked;
    const ctx = CallContext.begin({ signal });
    for (let at = 0; at < digests.length; at += unlinkedMax) {
      const reply = await index.unlinked(digests.slice(at, at + unlinkedMax), ctx);
      if ((await standing(reply)) === 'doubted') continue;
      for (const digest of reply.unlinked) linked.delete(digest);
    }
    return linked;
  };
}
