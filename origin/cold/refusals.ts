/**
 * What a backend's failure is to whoever asks for a blob.
 *
 * Rule: never an error of ours, nor one of the asker's: UNAVAILABLE, with backend and object, and whether what is there is wrong.
 */

import { ApiError } from '../../core/contracts/errors.ts';
import type { BackendRefusal } from '../../core/contracts/origin.ts';
import type { Backed } from '../../platform/backends/backends.ts';
import { causeOf } from './cause.ts';

/** What to do about a blob whose bytes in the backend are not its own. */
export const mendIt = 'push the blob again, or put its right bytes there';

export function refused(
  backed: Pick<Backed, 'name'>,
  code: 'BLOB_UNKNOWN' | 'UNAVAILABLE',
  text: string,
  damaged = false,
): ApiError {
  const detail: BackendRefusal = { backend: backed.name, damaged };
  return new ApiError(code, text, detail);
}

/** Of a download of `key` that failed. */
export function fetchRefusal(
  { backed, key }: { readonly backed: Pick<Backed, 'name'>; readonly key: string },
  error: unknown,
): ApiError {
  const { message } = error as Error;
  const name = `backend ${backed.name}: ${key}`;
  if (causeOf(error) === 'mismatch')
    return refused(backed, 'UNAVAILABLE', `${name} is not the blob (${message}): ${mendIt}`, true);
  // What was removed while it came, or right after, is where it was: it is not unknown.
  if (error instanceof ApiError && error.code !== 'UNAVAILABLE' && error.code !== 'BLOB_UNKNOWN')
    return new ApiError(error.code, error.message, { backend: backed.name });
  return refused(backed, 'UNAVAILABLE', `${name} could not be fetched (${message}): try again`);
}
