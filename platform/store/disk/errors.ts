/** What the store makes of a disk's refusal, and what it tells a client of it. */

import { ApiError } from '../../../core/contracts/errors.ts';
import type { Digest } from '../../../core/digest.ts';
import { diskCode } from './disk.ts';

export function removed(digest: Digest): ApiError {
  return new ApiError('BLOB_UNKNOWN', `${digest} was removed while it was being written: ask for it again`);
}

/** `code` as in ENOSPC; `what` was to be stored or read. */
export function refusal(what: string, code: string): ApiError {
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new ApiError('STORAGE_FULL', `${what} cannot be stored: the disk is full (${code}): free space on it`);
  }
  return new ApiError('UNAVAILABLE', `${what}: the disk refuses (${code}): see to it, or try again`);
}

/** A disk's refusal as an answer; anything else as it is. */
export function asApiError(error: unknown, what: string): unknown {
  const code = diskCode(error);
  return code === undefined ? error : refusal(what, code);
}
