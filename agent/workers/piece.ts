/** Worker thread of agent and origin: hashes pieces and moves them between slots and files. */

import { type LoopStart, runLoop } from '../../platform/workers/loop.ts';

/** Blocks until its ring is closed. Piscina calls it once a thread. */
export function run(start: LoopStart): void {
  runLoop(start);
}
