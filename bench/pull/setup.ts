/** What every measure of `bench pull` is given: sizes, and how to start a cluster. */

import { Certificates } from '../../harness/certificates.ts';
import { Cluster } from '../../harness/cluster.ts';
import { memoryDirectory, roomyDirectory } from '../../harness/memory.ts';
import type { PullSizes } from './sizes.ts';

export type PullTuning = {
  readonly arena: string | undefined;
  readonly workers: number | undefined;
  /** Where `--cpu-prof` of the agent goes. */
  readonly profile: string | undefined;
  /** In which files lie; absent: in memory. */
  readonly dir?: string | undefined;
};

export class PullSetup {
  readonly sizes: PullSizes;
  readonly #tuning: PullTuning;

  constructor(sizes: PullSizes, tuning: PullTuning) {
    this.sizes = sizes;
    this.#tuning = tuning;
  }

  /** With room for so much, until the stack ends. */
  directory(stack: AsyncDisposableStack, bytes: number): string {
    const { dir } = this.#tuning;
    return dir === undefined ? memoryDirectory(stack, bytes) : roomyDirectory(stack, dir, bytes);
  }

  async cluster(dir: string, logLevel: 'info' | 'warn', o: { readonly tls?: boolean } = {}): Promise<Cluster> {
    const { arena, workers } = this.#tuning;
    const certificates = o.tls === true ? await Certificates.make(dir) : undefined;
    return Cluster.start({ dir, logLevel, arena, workers, certificates });
  }

  /** Options of node for the agent that is measured. */
  get agentFlags(): readonly string[] {
    return profileFlags(this.#tuning.profile);
  }
}

/** So that node leaves a CPU profile of each thread in `dir` when it ends. */
export function profileFlags(dir: string | undefined): readonly string[] {
  return dir === undefined ? [] : ['--cpu-prof', '--cpu-prof-interval=500', `--cpu-prof-dir=${dir}`];
}
