/** What the index has linked is asked of origins: who holds it looks whether its backends have it, and writes it again. */

import type { Digest } from '../../core/digest.ts';
import { CallContext } from '../../platform/clients/context.ts';
import { prove } from '../../platform/clients/copies.ts';
import { Origins } from '../../platform/clients/origins.ts';
import type { TagStore } from '../../platform/tags/store.ts';
import type { IndexOrigins } from '../origins.ts';

/** Repositories of one digest: most backends have a blob once for all of them. */
const holdersMax = 64;

/** False: some repository has it, and no origin does. ApiError UNAVAILABLE: one that may hold it does not answer. */
export function mending(store: Pick<TagStore, 'holders'>, { members }: Pick<IndexOrigins, 'members'>) {
  const origins = new Origins({ members, copies: 1, required: 1 });
  return async (digest: Digest, signal: AbortSignal): Promise<boolean> => {
    const { repositories } = await store.holders(digest, { n: holdersMax });
    const ctx = CallContext.begin({ signal });
    const held = await Promise.all(repositories.map((repo) => prove(origins, { digest, repo }, ctx)));
    return held.every((one) => one);
  };
}
