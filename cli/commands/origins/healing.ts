/** `shoal origin repair|drain`: what an origin lacks and how far it is with it; and when it may be switched off. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { DrainState } from '../../../core/contracts/drain.ts';
import type { RepairState } from '../../../core/contracts/origin-repair.ts';
import { CallContext } from '../../../platform/clients/context.ts';
import { Failure } from '../../failure.ts';
import { bytesText, foreignText, rateText } from '../../ui/format.ts';
import type { OriginOptions } from './blobs.ts';
import { OriginAdminClient } from './client.ts';

/** How often `--wait` asks. */
const waitMs = 1_000;

export async function repairStatus(now: boolean, { origin, json, signal }: OriginOptions): Promise<string> {
  await using admin = new OriginAdminClient(origin);
  const call = CallContext.begin({ signal });
  if (now) await admin.repairNow(call);
  const state = await admin.repair(call);
  return json ? JSON.stringify(state) : repairText(state);
}

/** What `shoal origin repair` prints, and a line of it `shoal origin status`. */
export function repairText(state: RepairState): string {
  const { phase, why, lacking, below, unheard, spare, fetched, failed, rate, rateMax, leftMs, comparedMsAgo } = state;
  const left = leftMs === undefined ? '' : `, about ${ageText(leftMs)} left`;
  return [
    `state     ${phase}${why === undefined ? '' : `: ${foreignText(why)}`}`,
    `lacking   ${lacking.blobs} blobs here (${bytesText(lacking.bytes)})${left}`,
    `below     ${below} blobs here that another of their owners lacks; ${unheard} of which another owner does not answer`,
    `spare     ${spare.blobs} blobs here that others own, ${spare.unsafe} of them not on all of their owners yet`,
    `fetched   ${fetched.blobs} blobs (${bytesText(fetched.bytes)}) since the start, ${failed} in vain; ${rateText(rate)} of ${rateText(rateMax)}`,
    `compared  ${comparedMsAgo === undefined ? 'not with all others yet' : `with all others ${ageText(comparedMsAgo)} ago`}`,
    ...state.others.map(({ place, url, state: seen }) => `origin    ${place}  ${url}  ${seen}`),
  ].join('\n');
}

/** `wait`: until it may be switched off. */
export async function drainOrigin(
  how: { readonly cancel: boolean; readonly show: boolean; readonly wait: boolean },
  { origin, json, signal, screen }: OriginOptions,
): Promise<string> {
  await using admin = new OriginAdminClient(origin);
  const call = CallContext.begin({ signal });
  let state = await admin.drain(how.cancel ? 'cancel' : how.show ? 'state' : 'begin', call);
  for (let said = ''; how.wait && state.draining && !state.mayStop; ) {
    const line = `${state.why.map(foreignText).join('; ')}\n`;
    if (line !== said) screen.write(line);
    said = line;
    await sleep(waitMs, undefined, { signal });
    state = await admin.drain('state', call);
  }
  if (how.wait && !state.draining) throw new Failure('the origin is not being drained');
  return json ? JSON.stringify(state) : drainText(state);
}

function drainText({ draining, mayStop, why, blobs, left, leftBytes, unlinked }: DrainState): string {
  if (!draining) return 'the origin is not being drained';
  const behind = unlinked > 0 ? `; ${unlinked} that nothing links to stay behind` : '';
  if (mayStop) return `the origin may be switched off: all of its ${blobs} blobs are elsewhere${behind}`;
  return [
    `the origin is being drained and may not be switched off yet: ${left} of ${blobs} blobs (${bytesText(leftBytes)}) are left`,
    ...why.map((line) => `  ${foreignText(line)}`),
  ].join('\n');
}

function ageText(ms: number): string {
  const s = Math.round(ms / 1000);
  if (s < 120) return `${s} s`;
  return s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
}
