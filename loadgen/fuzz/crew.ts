/**
 * Seeds run by several threads at once.
 *
 * Rule 1: a seed's run depends on nothing but the seed: which thread takes it, and beside which other, makes no difference.
 * Rule 2: results come in order of their seeds, so that what is printed does not depend on the threads either.
 */

import { Piscina } from 'piscina';
import type { SeedOptions, SeedResult } from './run.ts';

/** Threads beyond this would only share the memory's bandwidth. */
export const jobsMax = 64;
/** A run makes a lot that is soon dropped; with V8's default nursery a seventh of its time goes into collecting it. */
const nurseryMb = 64;

/** Results of the seeds in `seeds`, in order, each begun as soon as one of `jobs` threads is free. */
export async function* runSeeds(
  seeds: Iterable<number>,
  jobs: number,
  about: Pick<SeedOptions, 'plant' | 'degree'>,
): AsyncGenerator<SeedResult> {
  const pool = new Piscina({
    filename: new URL('./job.ts', import.meta.url).href,
    name: 'run',
    minThreads: jobs,
    maxThreads: jobs,
    // Between two seeds a thread's own event loop goes on: what a run left open may close.
    atomics: 'disabled',
    resourceLimits: { maxYoungGenerationSizeMb: nurseryMb },
  });
  const begun: Promise<SeedResult>[] = [];
  const begin = (seed: number): void => {
    const result: Promise<SeedResult> = pool.run({ ...about, seed });
    // It is waited for in its turn; one that comes after a failure is not.
    result.catch(() => undefined);
    begun.push(result);
  };
  try {
    for (const seed of seeds) {
      begin(seed);
      // As many again as there are threads, so that none is idle while the slowest is waited for.
      if (begun.length > jobs * 2) yield await (begun.shift() as Promise<SeedResult>);
    }
    for (const result of begun) yield await result;
  } finally {
    await pool.destroy();
  }
}
