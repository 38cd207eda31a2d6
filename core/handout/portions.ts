/**
 * How many of a handout's peers are to be pullers, complete peers and origins.
 *
 * Pullers make the swarm's graph; complete peers and origins are where bytes come from, and are few
 * in a herd. Whoever is few is rationed, so that it is not dialled by thousands: an origin goes to
 * everyone while the swarm is small, then ever more rarely (limits.ts, originReach); complete peers
 * count for several in the draw. Who asks again gets more of both, twice as likely each time, so
 * that a node whose neighbours are all dead soon reaches one.
 */

import type { Prng } from '../prng.ts';
import { havePreference, originReach, seekBoostMax } from './limits.ts';

/** Members other than the requester. */
export type Kinds = { readonly wants: number; readonly haves: number; readonly origins: number };

/** At most `count` in all, at most what there is of each kind, and as many as there are up to `count`. */
export function portions(there: Kinds, count: number, by: { readonly asked: number; readonly prng: Prng }): Kinds {
  const boost = 2 ** Math.min(by.asked, seekBoostMax);
  const others = there.wants + there.haves;
  const reach = (originReach * boost * there.origins) / Math.max(1, others);
  const few = Math.min(count, Math.max(1, count >> 2));
  const rationed = Math.min(few, there.origins, roundAtRandom(Math.min(reach, few), by.prng));
  // Origins also take the places that nobody else can fill.
  const origins = Math.min(there.origins, Math.max(rationed, count - others));
  const rest = count - origins;
  const weight = havePreference * boost * there.haves;
  const ideal = others === 0 ? 0 : roundAtRandom((rest * weight) / (weight + there.wants), by.prng);
  // A quarter at least goes to pullers, where there are any: they are the graph.
  const wantsMin = Math.min(there.wants, (rest + 3) >> 2);
  const haves = Math.min(there.haves, Math.max(rest - there.wants, Math.min(ideal, rest - wantsMin)));
  return { origins, haves, wants: Math.min(there.wants, rest - haves) };
}

/** An integer whose mean is `value`. */
function roundAtRandom(value: number, prng: Prng): number {
  const floor = Math.floor(value);
  return prng.unit() < value - floor ? floor + 1 : floor;
}
