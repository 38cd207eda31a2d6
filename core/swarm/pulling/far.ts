/**
 * What may come from other zones. A host that knows its zone asks feeders in others only for pieces that no agent of its
 * own zone is known to hold: each piece crosses once, or a few times where two cross at about the same time.
 *
 * Agents only: an origin of the zone has every piece from the start, and one uplink for all.
 * Rule: where nothing has come for a while, whatever neighbours of the zone say to hold, anything may come from anywhere.
 *   They may lie, or hang.
 */

import { farPatienceMs, liftedMs } from '../limits.ts';
import type { Blob } from '../records/records.ts';
import type { State } from '../records/state.ts';
import type { OurAbroad } from './ours.ts';

/** Looked at now and then. Whether from now on, or no longer, anything may come from anywhere. */
export function watchAbroad(state: State, blob: Blob): boolean {
  const ours = blob.pulling.abroad as OurAbroad;
  if (!ours.kept || !blob.usable) return false;
  if (blob.heldCount !== ours.held || ours.sinceMs === 0) {
    ours.held = blob.heldCount;
    ours.sinceMs = state.nowMs;
  }
  const lifted = ours.liftedUntilMs > 0;
  if (state.nowMs - ours.sinceMs > farPatienceMs) ours.liftedUntilMs = state.nowMs + liftedMs;
  else if (ours.liftedUntilMs <= state.nowMs) ours.liftedUntilMs = 0;
  return lifted !== ours.liftedUntilMs > 0;
}
