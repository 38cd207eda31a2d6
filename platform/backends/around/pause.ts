/** Waiting by a clock, until a signal. */

import type { Clock } from '../../net/clock.ts';

export async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort);
  using _ = clock.after(ms, resolve);
  try {
    await promise;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
