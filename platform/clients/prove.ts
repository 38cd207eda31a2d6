/**
 * Links of what the index has condemned: the origins are asked for the bytes first.
 *
 * Rule 1: as many origins as a push needs must say that they hold it whole, each keeping it from then on; only then is
 *   the index asked again, with the generation that it named. It refuses where another origin was told meanwhile.
 * Rule 2: where too few hold it, nothing is linked: whoever wants it pushes it again. Where one that may hold it was not
 *   heard, that is UNAVAILABLE.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import { unproved } from '../../core/contracts/index-api.ts';
import { parse } from '../../core/contracts/parse.ts';
import type { Digest } from '../../core/digest.ts';
import type { CallContext } from './context.ts';
import type { OriginClient } from './origin.ts';
import { unavailable } from './origins.ts';

/** Questions and answers that cross; each time another origin needed room within the time of two calls. */
const turnsMax = 5;

/** Links by `link`; false: the bytes could not be proved, and nothing has changed. */
export async function linkProved(
  link: (proof: number | undefined) => Promise<void>,
  prove: () => Promise<boolean>,
): Promise<boolean> {
  let proof: number | undefined;
  for (let turn = 0; turn < turnsMax; turn++) {
    try {
      await link(proof);
      return true;
    } catch (error) {
      proof = generationOf(error);
    }
    if (!(await prove())) return false;
  }
  throw new ApiError('UNAVAILABLE', 'origins are removing what nothing links to, this too: try again');
}

/** Of the clients of the origins, what a proof needs. */
export type Provers = {
  readonly required: number;
  order(digest: Digest): readonly Pick<OriginClient, 'prove'>[];
};

/** Whether enough origins hold the blob whole, and keep it. */
export function prove(origins: Provers, digest: Digest, ctx: CallContext): Promise<boolean> {
  const asked = origins.order(digest);
  const failures: unknown[] = [];
  let [held, left] = [0, asked.length];
  return new Promise<boolean>((resolve, reject) => {
    const ask = async (client: Pick<OriginClient, 'prove'>): Promise<void> => {
      try {
        if (await client.prove(digest, ctx)) held += 1;
      } catch (error) {
        failures.push(error);
      }
      left -= 1;
      if (held >= origins.required) resolve(true);
      else if (left > 0) return;
      else if (failures.length > 0) reject(reasonOf(digest, failures, ctx));
      else resolve(false);
    };
    for (const client of asked) void ask(client);
  });
}

function generationOf(error: unknown): number {
  if (!(error instanceof ApiError) || error.code !== 'BLOB_CONDEMNED') throw error;
  const told = parse(unproved, error.detail, 'detail');
  if (!told.ok) throw error;
  return told.value.generation;
}

function reasonOf(digest: Digest, failures: readonly unknown[], ctx: CallContext): unknown {
  if (ctx.signal.aborted) return ctx.signal.reason;
  return failures.find((error) => !(error instanceof ApiError)) ?? unavailable(digest, failures);
}
