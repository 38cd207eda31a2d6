/** The options of `loadgen calibrate`: parsed, checked, each error naming its option. */

import { Command, Option } from 'commander';
import { rate, size, whole } from '../../harness/option-values.ts';

export type CalibrateOptions = {
  readonly hosts: number;
  /** Bytes of the blob. */
  readonly size: number;
  /** Of every link, both ways, bytes a second. */
  readonly rate: number;
  readonly readers: boolean;
  readonly rounds: number;
  readonly congestion: 'bbr' | 'reno';
  readonly seed: number;
  readonly json: boolean;
};

export function calibrateCommand(run: (options: CalibrateOptions) => Promise<void>): Command {
  return new Command('calibrate')
    .description('agents on shaped links of this machine against sim of the same scenario (root, iproute2)')
    .addOption(new Option('--hosts <n>', 'agents, each in a network namespace').argParser(whole(2, 60)).default(12))
    .addOption(
      new Option('--size <size>', 'bytes of the blob')
        .argParser(size(2 ** 20, 'a size from 1MiB on, such as 128MiB'))
        .default(2 ** 27, '128MiB'),
    )
    .addOption(
      new Option('--rate <rate>', 'of every link, both ways')
        .argParser(rate(100_000, 'a rate from 1Mbit/s on, such as 200Mbit/s'))
        .default(12.5e6, '100Mbit/s'),
    )
    .option('--readers', 'a reader in order on every host', false)
    .addOption(
      new Option('--rounds <n>', 'herds on real links; their times are pooled').argParser(whole(1, 50)).default(3),
    )
    .addOption(new Option('--congestion <name>', 'TCP congestion control').choices(['reno', 'bbr']).default('reno'))
    .addOption(new Option('--seed <n>', 'of the simulation').argParser(whole(0, 2 ** 31 - 1)).default(1))
    .option('--json', 'print one JSON object as the last line', false)
    .action(run);
}
