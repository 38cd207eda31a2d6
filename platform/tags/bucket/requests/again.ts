/** How often what others keep writing meanwhile is tried again. */

import { ApiError } from '../../../../core/contracts/errors.ts';

/** Each turn that is lost is somebody else's that was won: of so many in a row one is ours, unless the bucket lies. */
export const againMax = 100;

export function busy(what: string): ApiError {
  return new ApiError(
    'UNAVAILABLE',
    `others wrote ${what} ${againMax} times while it was to be written: try again; if that stays so, the bucket of the index does not keep to its conditions`,
  );
}
