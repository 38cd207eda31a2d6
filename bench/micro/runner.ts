/**
 * Runs functions under benchmark.js, which picks the number of repetitions and throws out the start.
 *
 * Rule: every function answers with something that depends on what it did, and the answers are hashed into the
 * result, so that neither the compiler nor a change of mine can make it faster by doing nothing.
 */

import Benchmark from 'benchmark';
import { rounded } from '../../harness/numbers.ts';

export type MicroCase = {
  readonly name: string;
  /** What one call does, in units of the figure: messages, jobs, bytes. */
  readonly units: number;
  run(): number;
};
export type AsyncMicroCase = { readonly name: string; readonly units: number; run(): Promise<number> };

/** Units a second, and what the last call answered. */
export type MicroResult = { readonly perS: number; readonly answer: number };

export async function micro(one: MicroCase, seconds: number): Promise<MicroResult> {
  let answer = 0;
  const fn = (): void => {
    answer = one.run();
  };
  return { perS: await unitsPerS(one, { fn }, seconds), answer };
}

/** For what ends later: each call adds some ten microseconds of benchmark.js's own, so a call does many units. */
export async function microAsync(one: AsyncMicroCase, seconds: number): Promise<MicroResult> {
  let answer = 0;
  const fn = (deferred: { resolve(): void }): void => {
    void one.run().then((value) => {
      answer = value;
      deferred.resolve();
    });
  };
  return { perS: await unitsPerS(one, { fn, defer: true }, seconds), answer };
}

async function unitsPerS(
  { name, units }: { readonly name: string; readonly units: number },
  options: Benchmark.Options,
  seconds: number,
): Promise<number> {
  const bench = new Benchmark(name, { maxTime: seconds, minSamples: 3, async: true, ...options });
  const ended = new Promise<void>((resolve, reject) => {
    bench.on('complete', () => resolve());
    bench.on('error', () => reject(bench.error));
  });
  bench.run({ async: true });
  await ended;
  return rounded(bench.hz * units);
}
