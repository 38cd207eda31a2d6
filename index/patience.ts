/**
 * What an index asks of its store as it starts, before it answers anybody.
 *
 * Rule: a store that is slow or away just then is waited for, as when it is connected to: a process that ended for it would
 *   be started again, and ask the same.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError } from '../core/contracts/errors.ts';

/** As long as an engine that does not answer at all is waited for. */
const startMs = 60_000;
const againMs = 500;

/** `ask` may be done more than once. */
export async function atStart<T>(ask: () => Promise<T>): Promise<T> {
  for (const untilMs = performance.now() + startMs; ; ) {
    try {
      return await ask();
    } catch (error) {
      const away = error instanceof ApiError && error.code === 'UNAVAILABLE';
      if (!away || performance.now() > untilMs) throw error;
      await sleep(againMs);
    }
  }
}
