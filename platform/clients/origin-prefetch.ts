/** Asks an origin, by Kraken's path, to have a blob: core/contracts/kraken-origin.ts. */

import { KRAKEN_ORIGIN } from '../../core/contracts/kraken-origin.ts';
import type { BlobIn } from '../../core/digest.ts';
import type { CallContext } from './context.ts';
import type { HttpClient } from './http.ts';

/** It may have to ask other origins, and a backend, whether they have it. */
const lookMsMax = 30_000;
/** HTTP's status. */
const onItsWay = 202;

export type Prefetched = 'here' | 'coming';

/** Throws BLOB_UNKNOWN where nobody has it, UNAVAILABLE where the origin fetches as many as it may. */
export async function prefetchAt(
  http: HttpClient,
  { digest, repo }: BlobIn & { readonly repo: string },
  ctx: CallContext,
): Promise<Prefetched> {
  const path = KRAKEN_ORIGIN.prefetch.path({ ns: repo, digest });
  const reply = await http.stream('POST', path, { ctx, stallMs: lookMsMax, watched: true, tries: 1 });
  await reply.discard();
  return reply.status === onItsWay ? 'coming' : 'here';
}
