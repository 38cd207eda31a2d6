/**
 * What nothing links to, for origins that ask, and whether the word of this index counts.
 *
 * Rule: one that was restored from a backup says so, and condemns nothing, until a person has said that it knows what is
 *   needed: what seems to have no link may only have been forgotten.
 */

import type { FastifyInstance } from 'fastify';
import { INDEX } from '../core/contracts/index-api.ts';
import { serve } from '../platform/http/serve.ts';
import type { TagStore } from '../platform/tags/store.ts';
import { readOnlyError } from './read-only.ts';
import type { Succeeded } from './succession.ts';

type UnlinkedSettings = {
  readonly nowMs: () => number;
  readonly keepUnlinkedMs: number;
  readonly readOnly?: boolean | undefined;
  /** Undefined: it is what it always was. */
  readonly succeeded?: Pick<Succeeded, 'succession' | 'trust'> | undefined;
};

export function unlinkedRoutes(
  app: FastifyInstance,
  store: Pick<TagStore, 'condemn' | 'unlinked'>,
  settings: UnlinkedSettings,
): void {
  const { keepUnlinkedMs: unlinkedMs, readOnly, succeeded } = settings;
  serve(app, INDEX.condemn, async ({ body: { digests } }) => {
    const succeeds = await succeeded?.succession();
    if (succeeds?.trusted !== false)
      return { ...(await store.condemn(digests, { nowMs: settings.nowMs(), unlinkedMs })), succeeds };
    const { index, unlinked } = await store.unlinked(digests);
    return { index, succeeds, condemned: [], waiting: unlinked.length };
  });
  serve(app, INDEX.unlinked, async ({ body: { digests } }) => {
    // Before: what is trusted meanwhile may be answered as if it were not, and never the other way round.
    const succeeds = await succeeded?.succession();
    return { ...(await store.unlinked(digests)), succeeds };
  });
  serve(app, INDEX.trust, async () => {
    if (readOnly) throw readOnlyError();
    return (await succeeded?.trust()) ?? { of: [], trusted: true };
  });
}
