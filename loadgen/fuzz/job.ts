/** One seed in a thread of its own: the virtual clock that a run installs is its thread's alone. */

import { runSeed, type SeedOptions, type SeedResult } from './run.ts';

export function run(options: Omit<SeedOptions, 'trace'>): Promise<SeedResult> {
  return runSeed(options);
}
