/** What a failure of a row says, and of whom: it decides how soon, and whether, the row is tried again. */

import { ApiError } from '../../core/contracts/errors.ts';
import { type BackendCause, BackendError } from '../../platform/backends/backend.ts';

/** Something else is to go there first. */
export class NotYet extends Error {}

/**
 * remote: it does not answer, or not to us; row: it refuses this one; origins: ours do not answer; later: another row comes
 * first; error: of ours, a bug.
 */
export type SendFailure = {
  readonly of: 'remote' | 'row' | 'origins' | 'later' | 'error';
  readonly cause: string;
  readonly message: string;
  readonly afterMs?: number | undefined;
};

const REMOTE: ReadonlySet<BackendCause> = new Set<BackendCause>([
  ...(['unavailable', 'stalled', 'throttled', 'credentials', 'denied', 'full'] as const),
]);

export function sendFailureOf(error: unknown): SendFailure {
  const { message } = error as Error;
  if (error instanceof BackendError)
    return { of: REMOTE.has(error.why) ? 'remote' : 'row', cause: error.why, message, afterMs: error.afterMs };
  if (error instanceof NotYet) return { of: 'later', cause: 'waiting', message };
  // What no origin has any more nothing brings back but a push.
  if (error instanceof ApiError)
    return error.code === 'BLOB_UNKNOWN'
      ? { of: 'row', cause: 'gone', message }
      : { of: 'origins', cause: 'origins', message };
  return { of: 'error', cause: 'error', message };
}
