/**
 * A blob that fewer origins of its upload committed than a push needs, since one of them died, hung, filled up or left:
 * other origins take it over from those that did, before the push is acknowledged.
 *
 * Rule 1: over the swarm's data plane, from an origin that has proved the digest; nothing comes through the proxy.
 * Rule 2: one that takes it over is waited for as long as pieces come; where none does for `stallMs`, the next takes
 *         its place.
 * Rule 3: it counts once it holds the blob synced, keeps it, and has noted what the repository's backend is owed.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../core/contracts/errors.ts';
import type { BlobInfo } from '../core/contracts/origin.ts';
import type { BlobIn } from '../core/digest.ts';
import { backoffMs } from '../core/retry/retry.ts';
import type { CallContext } from '../platform/clients/context.ts';
import { type Copies, manyAnswers } from '../platform/clients/copies.ts';
import type { OriginClient } from '../platform/clients/origin.ts';
import type { Origins } from '../platform/clients/origins.ts';

/** How often it is asked whether it is there: a small blob is at once, a large one takes minutes. */
const askAgain = { delayMs: 20, delayMsMax: 1_000 } as const;

export type MakingUp = {
  readonly blob: BlobIn;
  /** Of one that holds it. */
  readonly info: BlobInfo;
  readonly holders: readonly OriginClient[];
  /** Those that did not commit it, though they received it: asked last. */
  readonly tried: readonly OriginClient[];
  /** An origin that gets no piece for so long is left behind. */
  readonly stallMs: number;
};

/** Makes the copies that a push needs beside those of `holders`. Never rejects: who failed is told. */
export function makeUp(
  origins: Pick<Origins, 'order' | 'required'>,
  what: MakingUp,
  ctx: CallContext,
): Promise<Copies<OriginClient>> {
  const { holders, tried } = what;
  const lack = origins.required - holders.length;
  const others = origins.order(what.blob.digest).filter((client) => !holders.includes(client));
  const failed = (client: OriginClient): boolean => tried.includes(client);
  const candidates = [...others.filter((client) => !failed(client)), ...others.filter(failed)];
  const take = (client: OriginClient, call: CallContext): Promise<void> => takeOver(client, what, call);
  // Whoever is only slow is not raced: each attempt is a copy of all of it.
  return manyAnswers(candidates, take, { ctx, copies: lack, required: lack, hedgeMs: 2 * what.stallMs });
}

async function takeOver(client: OriginClient, what: MakingUp, ctx: CallContext): Promise<void> {
  const { blob, info, stallMs } = what;
  const { digest, meta, peer: from } = info;
  let [pieces, since] = [-1, performance.now()];
  for (let turn = 1; ; turn++) {
    const now = await progress(client.takeOver(digest, { from, meta }, ctx));
    if (now === 'held') break;
    if (now > pieces) [pieces, since] = [now, performance.now()];
    else if (performance.now() - since > stallMs) throw stalled(client, digest, stallMs);
    await sleep(backoffMs(askAgain, turn));
    ctx.signal.throwIfAborted();
  }
  if (!(await client.prove(blob, ctx, 'long'))) throw stalled(client, digest, stallMs);
}

/** One that takes over as many as it can says so, and is asked again. */
async function progress(asked: ReturnType<OriginClient['takeOver']>): Promise<number | 'held'> {
  try {
    const { state, pieces = 0 } = await asked;
    return state === 'held' ? 'held' : pieces;
  } catch (error) {
    if (error instanceof ApiError && error.code === 'TOOMANYREQUESTS') return 0;
    throw error;
  }
}

function stalled({ url }: OriginClient, digest: string, ms: number): ApiError {
  return new ApiError('UNAVAILABLE', `${url} did not get ${digest} from the other origins: no piece came for ${ms} ms`);
}
