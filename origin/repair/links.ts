/** Which blobs somebody needs: those that the index links to, by the word of the index that this origin goes by. */

import { type UnlinkedReply, unlinkedMax } from '../../core/contracts/index-api.ts';
import type { Digest } from '../../core/digest.ts';
import { CallContext } from '../../platform/clients/context.ts';

type Index = { unlinked(digests: readonly Digest[], ctx: CallContext): Promise<UnlinkedReply> };
export type AskLinked = (digests: readonly Digest[], signal: AbortSignal) => Promise<ReadonlySet<Digest>>;

/** `index` undefined: none is configured, and every blob may be needed. `same`: rejects where it is another one than before. */
export function linkedBy(index: Index | undefined, same: (index: string) => Promise<void>): AskLinked {
  return async (digests, signal) => {
    const linked = new Set(digests);
    if (index === undefined) return linked;
    const ctx = CallContext.begin({ signal });
    for (let at = 0; at < digests.length; at += unlinkedMax) {
      const { index: id, unlinked } = await index.unlinked(digests.slice(at, at + unlinkedMax), ctx);
      await same(id);
      for (const digest of unlinked) linked.delete(digest);
    }
    return linked;
  };
}
