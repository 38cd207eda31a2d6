/**
 * Who of the origins asks the backend for a blob: the digest's first owner that answers. Whoever else is asked passes the
 * question on to it.
 *
 * Rule 1: only an answer that names the backend counts: an origin that is stopping, of a release before, or without that
 *         backend has not asked it. Then, and where one is silent for two seconds (clients/pulse.ts), the next owner does.
 * Rule 2: a question is passed on `hopsMax` times and is then answered by whoever has it, so that origins who do not agree on
 *         who is there send it round no circle.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import { type BlobInfo, backendRefusal, type GrowingInfo, hopsMax } from '../../core/contracts/origin.ts';
import type { BlobIn, Digest } from '../../core/digest.ts';
import type { CallContext } from '../../platform/clients/context.ts';
import type { OriginClient } from '../../platform/clients/origin.ts';

export type Owners = {
  /** The owners of the digest first, this origin among them. */
  owners(digest: Digest): readonly { readonly id: string }[];
  /** undefined: it is this one, or cannot be reached. */
  byId(id: string): (Pick<OriginClient, 'passedOn'> & { readonly pulse: { readonly silent: boolean } }) | undefined;
};

export type ColdQuestion = {
  readonly blob: BlobIn;
  /** How often it was passed on before. */
  readonly hops: number;
  readonly cold: 'stat' | undefined;
};

/** The answer of the owner before us that asks the backend; undefined: that is for us to do. Throws what it answered. */
export async function askOwner(
  owners: Owners,
  { self, backend }: { readonly self: string; readonly backend: string },
  { blob, hops, cold }: ColdQuestion,
  ctx: CallContext,
): Promise<BlobInfo | GrowingInfo | undefined> {
  if (hops >= hopsMax) return undefined;
  for (const { id } of owners.owners(blob.digest)) {
    if (id === self) return undefined;
    const owner = owners.byId(id);
    if (owner === undefined || owner.pulse.silent) continue;
    try {
      return await owner.passedOn(blob, { hops: hops + 1, cold }, ctx);
    } catch (error) {
      if (ctx.signal.aborted || !(error instanceof ApiError) || backendRefusal(error.detail)?.backend === backend)
        throw error;
    }
  }
  return undefined;
}
