/** What `loadgen fuzz` prints: each seed that failed with the command that replays it, and the sums. */

import { runSeeds } from './crew.ts';
import type { FuzzOptions } from './options.ts';
import { runPlants } from './plants/plants-command.ts';
import { runSeed, type SeedResult } from './run.ts';

export async function runFuzzCommand(options: FuzzOptions): Promise<void> {
  if (options.plants) return await runPlants(options);
  const sums = { seeds: 0, failed: 0, steps: 0, inputs: 0, faults: 0, pushes: 0, tagReads: 0 };
  const byKind = new Map<string, number>();
  const startedMs = Date.now();
  for await (const result of resultsOf(options)) {
    add(sums, result, byKind);
    if (result.violation !== undefined) {
      clearLine();
      process.stdout.write(`${report(result, options)}\n`);
      if (!options.keepGoing) break;
    }
    progress(sums, startedMs);
  }
  clearLine();
  const wallS = (Date.now() - startedMs) / 1000;
  if (sums.failed > 0) process.exitCode = 1;
  const kinds = [...byKind].sort((one, two) => two[1] - one[1]).map(([kind, count]) => `${kind} ${count}`);
  process.stdout.write(`faults: ${kinds.join(', ')}\n`);
  process.stdout.write(
    `${sums.seeds} seeds, ${sums.failed} failed, ${sums.steps} steps (${sums.inputs} inputs to core), ${sums.faults} faults, ${sums.pushes} pushes, ${sums.tagReads} tag reads, ${wallS.toFixed(1)} s\n`,
  );
  if (options.json) process.stdout.write(`${JSON.stringify({ ...sums, wallS })}\n`);
}

function* seedsOf({ seed: first, seeds }: FuzzOptions): Generator<number> {
  for (let seed = first; seed < first + seeds; seed++) yield seed;
}

/** A trace is one run's, line by line as it happens: then seeds run one after the other, in this thread. */
async function* resultsOf(options: FuzzOptions): AsyncGenerator<SeedResult> {
  const { plant, degree, jobs } = options;
  if (!options.trace && options.seeds > 1)
    return yield* runSeeds(seedsOf(options), Math.min(jobs, options.seeds), { plant, degree });
  const trace = options.trace ? (line: string): unknown => process.stderr.write(`${line}\n`) : undefined;
  for (const seed of seedsOf(options)) yield await runSeed({ seed, plant, degree, trace });
}

/** What broke, and how to see it again. */
export function report(result: SeedResult, options: Pick<FuzzOptions, 'plant' | 'degree'>): string {
  const { violation, seed } = result;
  if (violation === undefined) return `seed ${seed}: ok`;
  const plant = options.plant === undefined ? '' : ` --plant ${options.plant}`;
  const degree = options.degree === undefined ? '' : ` --degree ${options.degree}`;
  return [
    `seed ${seed} FAILED at ${(violation.atMs / 1000).toFixed(3)} s (${violation.kind}): ${violation.text}`,
    `  replay: npm run loadgen -- fuzz --seeds 1 --seed ${seed}${plant}${degree} --trace`,
  ].join('\n');
}

function add(
  sums: {
    seeds: number;
    failed: number;
    steps: number;
    inputs: number;
    faults: number;
    pushes: number;
    tagReads: number;
  },
  result: SeedResult,
  byKind: Map<string, number>,
): void {
  sums.seeds++;
  if (result.violation !== undefined) sums.failed++;
  sums.steps += result.steps;
  sums.inputs += result.inputs;
  sums.pushes += result.pushes;
  sums.tagReads += result.tagReads;
  for (const [kind, count] of result.faults) {
    sums.faults += count;
    byKind.set(kind, (byKind.get(kind) ?? 0) + count);
  }
}

let shownMs = 0;

function progress(sums: { seeds: number; failed: number; steps: number }, startedMs: number): void {
  if (!process.stderr.isTTY || Date.now() - shownMs < 200) return;
  shownMs = Date.now();
  const perMinute = (sums.seeds * 60_000) / Math.max(1, shownMs - startedMs);
  process.stderr.write(
    `\r${sums.seeds} seeds, ${sums.failed} failed, ${sums.steps} steps, ${perMinute.toFixed(0)} seeds a minute \x1b[K`,
  );
}

function clearLine(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
}
