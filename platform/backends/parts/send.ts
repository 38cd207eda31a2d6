/**
 * An object on its way in parts, several at once; one that fails for a moment is sent again by itself.
 *
 * Rule: what ends the sending is the first thing that failed, and nothing is under way any more when it is thrown.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { BackendError, type ObjectSource } from '../backend.ts';
import { partAttemptsMax, partPauseMs, partPauseMsMax } from './limits.ts';
import { type Cut, partsOf, type SourcePart } from './source.ts';

export type SendPlan<Sent> = {
  readonly source: ObjectSource;
  readonly cut: Cut;
  readonly parallel: number;
  readonly send: (part: SourcePart, signal: AbortSignal) => Promise<Sent>;
  /** Of what failed: another attempt at this part changes nothing. */
  readonly final?: (error: BackendError) => boolean;
};

/** What each part became, in their order. Every part is there when this resolves. */
export async function sendParts<Sent>(plan: SendPlan<Sent>, signal: AbortSignal): Promise<Sent[]> {
  const { source, cut, parallel } = plan;
  const ending = new AbortController();
  const either = AbortSignal.any([signal, ending.signal]);
  const sent: Sent[] = [];
  const running = new Set<Promise<void>>();
  let failed: { readonly error: unknown } | undefined;
  try {
    for await (const part of partsOf(source, cut, either)) {
      const one = sendOne(plan, part, either)
        .then((done) => {
          sent[part.number - 1] = done;
        })
        .catch((error: unknown) => {
          failed ??= { error };
          ending.abort();
        })
        .finally(() => {
          part.done();
          running.delete(one);
        });
      running.add(one);
      if (running.size >= parallel) await Promise.race(running);
      if (failed !== undefined) break;
    }
    await Promise.all(running);
  } catch (error) {
    // What ended the reading because a part had failed says nothing.
    failed ??= { error };
  } finally {
    ending.abort();
    await Promise.all(running);
  }
  if (failed !== undefined) throw failed.error;
  return sent;
}

async function sendOne<Sent>({ send, final }: SendPlan<Sent>, part: SourcePart, signal: AbortSignal): Promise<Sent> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await send(part, signal);
    } catch (error) {
      const pause = error instanceof BackendError && final?.(error) !== true ? pauseAfter(error, attempt) : undefined;
      if (pause === undefined) throw error;
      await sleep(pause, undefined, { signal });
    }
  }
}

/** Milliseconds until it is tried again; undefined: it is not. */
export function pauseAfter(error: BackendError, attempt: number): number | undefined {
  if (attempt >= partAttemptsMax) return undefined;
  if (!['unavailable', 'stalled', 'throttled', 'damaged'].includes(error.why)) return undefined;
  const pause = error.afterMs ?? partPauseMs * 2 ** (attempt - 1);
  return pause > partPauseMsMax ? undefined : pause;
}
