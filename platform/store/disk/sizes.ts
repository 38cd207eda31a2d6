/**
 * Lengths of many files, looked up in threads of their own: many in one go cost a fifth of what they do one by one, and a disk
 * that hangs holds up nobody but who asks for them.
 *
 * Rule: the threads begin with the first question and end when nobody has asked for a moment: only a start asks.
 */

import { Piscina } from 'piscina';
import { entryUrl } from '../../lifecycle/entry.ts';
import { diskError } from './disk.ts';
import type { SizesAsked, SizesTold } from './sizes-thread.ts';

/** As many calls as one volume may hold up (volumes/guard.ts), and as many again for the next one. */
const threadsMax = 8;
const idleMs = 1_000;
/** A thread holds the names of one question. */
const threadLimits = { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 4, stackSizeMb: 1 };

let pool: Piscina<SizesAsked, SizesTold> | undefined;

/** In the order of the names. Rejects with the system's code where one cannot be looked up. */
export async function sizesIn(dir: string, names: readonly string[]): Promise<readonly number[]> {
  pool ??= new Piscina({
    filename: entryUrl('./sizes-thread.ts', import.meta.url).href,
    name: 'sizes',
    minThreads: 0,
    maxThreads: threadsMax,
    idleTimeout: idleMs,
    recordTiming: false,
    trackUnmanagedFds: false,
    resourceLimits: threadLimits,
  });
  const told = await pool.run({ dir, names });
  if ('code' in told) throw diskError(told.code, 'stat', told.path);
  return told.sizes;
}
