/** What is said where there is no room. */

import { ApiError } from '../../../core/contracts/errors.ts';

type Asked = { readonly bytes: number; readonly dir: string /** Why nothing went by itself. */; readonly why: string };

export function budgetFull(o: Asked & { readonly budgetBytes: number; readonly usedBytes: number }): ApiError {
  return new ApiError(
    'STORAGE_FULL',
    `${o.bytes} bytes do not fit in the budget of ${o.budgetBytes} bytes of ${o.dir} (${o.usedBytes} are in use and cannot be evicted): raise the budget, or remove blobs${o.why}`,
  );
}

export function diskFull(o: Asked & { readonly free: number }): ApiError {
  return new ApiError(
    'STORAGE_FULL',
    `the disk of ${o.dir} has ${o.free} bytes free, too few for ${o.bytes} more: free space on it, or lower the budget${o.why}`,
  );
}
