/**
 * Contestants that take turns: A B C A B C … on equally prepared memory, so that what the machine does
 * meanwhile hits all of them alike.
 */

import { onWarmMemory } from '../../harness/memory.ts';
import { median } from '../../harness/numbers.ts';

export type Sample = { readonly seconds: number; readonly cpuS?: Readonly<Record<string, number>> };
export type Contestant<N extends string> = {
  readonly name: N;
  /** Memory that a run makes resident, bytes. */
  readonly touches: number;
  run(): Promise<Sample>;
  /** Undoes it, outside of what is timed. */
  after?(): Promise<void>;
};

export class Results<N extends string> {
  readonly #samples = new Map<N, Sample[]>();

  add(name: N, sample: Sample): void {
    const samples = this.#samples.get(name) ?? [];
    samples.push(sample);
    this.#samples.set(name, samples);
  }

  has(name: N): boolean {
    return this.#samples.has(name);
  }

  seconds(name: N): number {
    return median(this.#of(name).map((sample) => sample.seconds));
  }

  cpuS(name: N, of: string): number {
    return median(this.#of(name).map((sample) => sample.cpuS?.[of] ?? Number.NaN));
  }

  /** How many times as fast `a` was as `b`: the median over rounds, each of which compares neighbours in time. */
  speedRatio(a: N, b: N): number {
    const others = this.#of(b);
    return median(this.#of(a).map((sample, round) => (others[round]?.seconds ?? Number.NaN) / sample.seconds));
  }

  #of(name: N): readonly Sample[] {
    const samples = this.#samples.get(name);
    if (samples === undefined) throw new Error(`${name} was not run`);
    return samples;
  }
}

export async function contest<N extends string>(
  dir: string,
  contestants: readonly Contestant<N>[],
  rounds: number,
): Promise<Results<N>> {
  const results = new Results<N>();
  for (let round = 0; round < rounds; round++) {
    for (const contestant of contestants) {
      const sample = await onWarmMemory(dir, contestant.touches, () => contestant.run());
      results.add(contestant.name, sample);
      await contestant.after?.();
    }
  }
  return results;
}
