/** The options of `loadgen fuzz`: parsed, checked, each error naming its option. */

import { availableParallelism } from 'node:os';
import { Command, Option } from 'commander';
import { whole } from '../../harness/option-values.ts';
import { jobsMax } from './crew.ts';
import { PLANTS, type Plant } from './plants/plants.ts';

export const seedMax = 2 ** 31 - 1;
export const seedsMax = 10_000_000;

export type FuzzOptions = {
  readonly seeds: number;
  /** The first. */
  readonly seed: number;
  readonly plant: Plant | undefined;
  /** Every plant, each until it is found. */
  readonly plants: boolean;
  /** Neighbours per blob; undefined: drawn. */
  readonly degree: number | undefined;
  /** Goes on after a seed that failed. */
  readonly keepGoing: boolean;
  readonly trace: boolean;
  /** Seeds that run at once. */
  readonly jobs: number;
  readonly json: boolean;
};

/** The sub-command with its options; `run` gets them checked. */
export function fuzzCommand(run: (options: FuzzOptions) => Promise<void>): Command {
  const command = new Command('fuzz').description(
    'small clusters in virtual time, under every fault at once: nothing promised may break',
  );
  command.addOption(new Option('--seeds <n>', 'how many seeds to run').argParser(whole(1, seedsMax)).default(200));
  command.addOption(
    new Option('--seed <first>', 'the first seed; each determines its run').argParser(whole(0, seedMax)).default(1),
  );
  command.addOption(
    new Option('--plant <defect>', 'plants a defect that the checks must find').choices(Object.keys(PLANTS)),
  );
  command.addOption(
    new Option('--degree <n>', 'neighbours per blob, in place of what the seed draws').argParser(whole(2, 64)),
  );
  command.addOption(
    new Option('--jobs <n>', 'seeds that run at once, each in a thread')
      .argParser(whole(1, jobsMax))
      .default(Math.min(jobsMax, availableParallelism()), 'one for each processor'),
  );
  command.option('--plants', 'plant each defect in turn, and run seeds until it is found; 500 of them at most', false);
  command.option('--keep-going', 'do not stop at the first seed that fails', false);
  command.option('--trace', 'print what happens, line by line, on stderr', false);
  command.option('--json', 'print one JSON object as the last line', false);
  return command.action(async (given: FuzzOptions) => {
    if (given.seed + given.seeds - 1 > seedMax)
      command.error(`error: option '--seeds <n>' is too large: the last seed would be above ${seedMax}.`);
    await run({ ...given, plant: given.plant, degree: given.degree });
  });
}
