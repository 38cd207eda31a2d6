/** The file of an origin's queue, as it outlives the origin's processes: what it was told is done is synced. */

import { prng } from '../../../core/prng.ts';
import { Queue } from '../../../platform/queue/queue.ts';
import { type Runner, runHere } from '../../../platform/queue/runners.ts';
import type { Process } from '../world.ts';

const rowsMax = 10_000;

export class QueueFile {
  readonly #runner: Runner = runHere({ file: ':memory:', name: 'write-back queue', rowsMax }, (error) => {
    throw error;
  });

  /** For one process: once it is dead it neither writes nor hears. */
  queue(process: Process, nowMs: () => number, seed: number): Queue {
    const runner = {
      run: async (...args: Parameters<Runner['run']>) =>
        process.alive ? await this.#runner.run(...args) : await new Promise<never>(() => undefined),
      [Symbol.asyncDispose]: async () => undefined,
    };
    return new Queue({ runner, nowMs, random: prng(seed) });
  }
}
