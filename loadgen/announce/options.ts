/** The options of `loadgen announce`: parsed, checked, each error naming its option. */

import { Command, InvalidArgumentError, Option } from 'commander';
import { announceEntriesMax } from '../../core/contracts/tracker.ts';
import { duration, whole } from '../../harness/option-values.ts';

export const leasesMax = 5_000_000;

export type AnnounceOptions = {
  /** A tracker is measured with so many leases, each step another. */
  readonly leases: readonly number[];
  /** Swarm announces in a batch. */
  readonly layers: number;
  readonly seek: number;
  readonly connections: number;
  /** Of one round. */
  readonly durationMs: number;
  readonly rounds: number;
  /** Blobs that nobody has, which one client announces after the last step, while others go on. */
  readonly bogus: number;
  readonly seed: number;
  readonly json: boolean;
};

function steps(text: string): number[] {
  const values = text.split(',').map(Number);
  const ascending = values.every((value, i) => i === 0 || value > (values[i - 1] as number));
  if (values.some((value) => !Number.isInteger(value) || value < 1_000 || value > leasesMax) || !ascending)
    throw new InvalidArgumentError(
      `expected ascending numbers from 1000 to ${leasesMax}, such as 1000,100000,1000000.`,
    );
  return values;
}

export function announceCommand(run: (options: AnnounceOptions) => Promise<void>): Command {
  return new Command('announce')
    .description('batched announces from simulated hosts on a real tracker: announces a second and core, latency')
    .addOption(
      new Option('--leases <n,n,...>', 'leases that the tracker holds, step by step')
        .argParser(steps)
        .default([1_000, 10_000, 100_000, 1_000_000], '1000,10000,100000,1000000'),
    )
    .addOption(
      new Option('--layers <n>', 'swarm announces in a batch').argParser(whole(1, announceEntriesMax)).default(16),
    )
    .addOption(new Option('--seek <n>', 'neighbours that each announce asks for').argParser(whole(0, 32)).default(16))
    .addOption(
      new Option('--connections <n>', 'hosts that announce at the same time').argParser(whole(1, 1_000)).default(8),
    )
    .addOption(
      new Option('--rounds <n>', 'of all steps in turns: what the machine does beside it meets all alike')
        .argParser(whole(1, 100))
        .default(1),
    )
    .addOption(
      new Option('--duration <time>', 'of each step of a round')
        .argParser(duration(200, 'a duration from 200ms on, such as 5s'))
        .default(5_000, '5s'),
    )
    .addOption(
      new Option('--bogus <n>', 'blobs that nobody has, which one more client announces at last while the others go on')
        .argParser(whole(0, 100_000_000))
        .default(0),
    )
    .addOption(new Option('--seed <n>', 'determines hosts and blobs').argParser(whole(0, 2 ** 31 - 1)).default(1))
    .option('--json', 'print one JSON object as the last line', false)
    .action(async (given: { duration: number } & Omit<AnnounceOptions, 'durationMs'>) => {
      const { duration: durationMs, ...rest } = given;
      await run({ ...rest, durationMs });
    });
}
