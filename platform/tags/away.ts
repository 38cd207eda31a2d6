/**
 * What an engine throws where it cannot be reached: whoever asks is told at once, with 503 and Retry-After.
 *
 * Rule: of a write it is thrown where nothing of it has happened. Where that is not known it is `storeUnsure`, which says so:
 *   whoever made the write makes it again, as every write of an index may be.
 */

import { ApiError } from '../../core/contracts/errors.ts';

/** `engine`: `PostgreSQL shoal at db-1:5432`. */
export function storeAway(engine: string, why: string): ApiError {
  return new ApiError('UNAVAILABLE', `the index cannot reach its store, ${engine}: ${why}: try again`);
}

/** Of a write whose answer was lost, and that nobody could look for since. */
export function storeUnsure(engine: string, why: string): ApiError {
  return new ApiError(
    'UNAVAILABLE',
    `whether it was done is not known: ${engine} did not say, and cannot be asked: ${why}: try again, or look whether it is there`,
  );
}
