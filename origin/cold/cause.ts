/** Why a download failed, in a word: for metrics, for how long it is remembered, and for what is told. */

import { ApiError } from '../../core/contracts/errors.ts';
import { type BackendCause, BackendError } from '../../platform/backends/backend.ts';

export function causeOf(error: unknown): BackendCause | 'mismatch' | 'disk' | 'stopped' {
  if (error instanceof BackendError) return error.why;
  if (!(error instanceof ApiError)) return 'stopped';
  return error.code === 'DIGEST_INVALID' || error.code === 'SIZE_INVALID' ? 'mismatch' : 'disk';
}
