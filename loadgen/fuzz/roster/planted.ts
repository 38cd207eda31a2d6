/** A defect of membership that is planted in the product while a run lasts (plants/planted.ts): found in runs that move. */

import { KnownPlaces } from '../../../platform/members/places.ts';
import { type Planted, replace } from '../plants/planted.ts';

export const PLANTED_MEMBERS = {
  'ring-by-url': {
    room: 'platform/members/places.ts',
    defect: 'an origin is placed by its address, in place of its id',
    plant: () =>
      replace(
        KnownPlaces,
        'answered',
        (original) =>
          function (this: KnownPlaces, url, _identity, nowMs) {
            return original.call(this, url, undefined, nowMs);
          },
      ),
  },
} as const satisfies Record<string, Planted>;
