/** What is said where there is no room. */

import { ApiError } from '../../../core/contracts/errors.ts';

/** Left free on the disk for what is small: have bits, logs, other programs. */
export const spareBytes = 16 * 1024 * 1024;

type Asked = { readonly bytes: number /** Why nothing went by itself. */; readonly why: string };

export function budgetFull(
  o: Asked & { readonly dir: string; readonly budgetBytes: number; readonly usedBytes: number },
): ApiError {
  return new ApiError(
    'STORAGE_FULL',
    `${o.bytes} bytes do not fit in the budget of ${o.budgetBytes} bytes of ${o.dir} (${o.usedBytes} are in use and cannot be evicted): raise the budget, or remove blobs${o.why}`,
  );
}

export function diskFull(o: Asked & { readonly disks: string; readonly free: number }): ApiError {
  return new ApiError(
    'STORAGE_FULL',
    `the disk of ${o.disks} has ${o.free} bytes free, of which ${spareBytes} stay free: too few for ${o.bytes} more: free space there, or lower the budget${o.why}`,
  );
}
