/**
 * bcrypt in threads of its own: a comparison is a tenth of a second of a core, by design.
 *
 * Rule 1: so many wait, and no more: beyond that 503, at once. Whoever was proved lately is not compared again (passwords.ts).
 * Rule 2: the threads begin with the first comparison and end when nobody has asked for a while.
 */

import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { ApiError } from '../../core/contracts/errors.ts';
import { entryUrl } from '../lifecycle/entry.ts';
import type { HashAsked } from './hashes-thread.ts';

/** Half of the machine: the other half goes on with what it is for. */
const threadsMax = Math.max(1, Math.min(4, Math.floor(availableParallelism() / 2)));
const idleMs = 60_000;
/** Some seconds of work at the cost that `shoal access user add` takes; who waits for longer asks again anyway. */
export const comparisonsMax = 64;
const threadLimits = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4, stackSizeMb: 1 };

let pool: Piscina<HashAsked, boolean> | undefined;
let waiting = 0;

/** Throws UNAVAILABLE where too many wait. */
export async function passwordMatches(password: string, hash: string): Promise<boolean> {
  if (waiting >= comparisonsMax)
    throw new ApiError('UNAVAILABLE', `${comparisonsMax} passwords are being compared: try again in a moment`);
  waiting++;
  try {
    pool ??= new Piscina({
      filename: entryUrl('./hashes-thread.ts', import.meta.url).href,
      name: 'matches',
      minThreads: 0,
      maxThreads: threadsMax,
      idleTimeout: idleMs,
      recordTiming: false,
      trackUnmanagedFds: false,
      resourceLimits: threadLimits,
    });
    return await pool.run({ password, hash });
  } finally {
    waiting--;
  }
}
