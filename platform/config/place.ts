/**
 * Where a host is: `peer.zone`, which is the role's `zone` where it is not named, and the rack within it. Both travel as
 * one text (core/place.ts).
 */

import * as z from 'zod';
import { hostPlace, zoneOf } from '../../core/place.ts';
import { zoneBytesMax } from '../../core/wire/limits.ts';
import type { Rule } from './rules.ts';

const placeText = (name: string) =>
  z.string().regex(/^[\x20-\x7e]*$/, `expected printable ASCII, which is all that a ${name} may have`);

/** Of `peer`. */
export const placeShape = {
  zone: placeText('zone')
    .max(zoneBytesMax)
    .refine((zone) => zoneOf(zone) === zone, "what comes after a '/' is the rack: name it as `peer.rack`")
    .prefault(''),
  rack: placeText('rack').prefault(''),
} as const;

/** Of the configuration of an agent or an origin. */
export type HostPlace = { readonly zone: string; readonly peer: { readonly zone: string; readonly rack: string } };

/** What the host says of itself; empty: nothing. */
export function hostPlaceIn({ zone, peer }: HostPlace): string {
  return hostPlace(peer.zone === '' ? zone : peer.zone, peer.rack);
}

export const placeFits: readonly Rule<HostPlace>[] = [
  {
    at: 'peer.zone',
    of: ['zone'],
    problem: ({ zone, peer }) =>
      zone === '' || peer.zone === '' || peer.zone === zoneOf(zone)
        ? undefined
        : `\`zone\` says that this host is in ${zone}, and \`peer.zone\` in ${peer.zone}: leave one of them out`,
  },
  { at: 'peer.rack', of: ['zone', 'peer.zone'], problem: rackProblem },
];

function rackProblem(placed: HostPlace): string | undefined {
  const { zone, peer } = placed;
  const within = peer.zone === '' ? zone : peer.zone;
  if (peer.rack === '') return undefined;
  if (within === '') return 'a rack is within a zone: name that as well, or call the rack the zone';
  if (zoneOf(within) !== within) return `the zone ${within} names a rack already, after its '/': leave one of them out`;
  const { length } = hostPlaceIn(placed);
  return length > zoneBytesMax
    ? `zone and rack together have ${length} characters, and may have ${zoneBytesMax}, one of which stands between them: shorten one`
    : undefined;
}
