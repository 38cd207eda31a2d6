/** A worker thread's entry file: hashes pieces and moves them between slots and files. */

import { type LoopStart, runLoop } from './loop.ts';

/** Blocks until its ring is closed. Piscina calls it once a thread. */
export function run(start: LoopStart): void {
  runLoop(start);
}
