/** The options of `loadgen calibrate`: parsed, checked, each error naming its option. */

import { Command, InvalidArgumentError, Option } from 'commander';
import { parseRate, parseSize } from '../../platform/config/units.ts';

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

function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}.`);
    return value;
  };
}

function size(text: string): number {
  const bytes = parseSize(text);
  if (bytes === undefined || bytes < 2 ** 20)
    throw new InvalidArgumentError('expected a size from 1MiB on, such as 128MiB.');
  return bytes;
}

function rate(text: string): number {
  const bytesPerS = parseRate(text);
  if (bytesPerS === undefined || bytesPerS < 100_000)
    throw new InvalidArgumentError('expected a rate from 1Mbit/s on, such as 200Mbit/s.');
  return bytesPerS;
}

export function calibrateCommand(run: (options: CalibrateOptions) => Promise<void>): Command {
  return new Command('calibrate')
    .description('agents on shaped links of this machine against sim of the same scenario (root, iproute2)')
    .addOption(new Option('--hosts <n>', 'agents, each in a network namespace').argParser(whole(2, 60)).default(12))
    .addOption(new Option('--size <size>', 'bytes of the blob').argParser(size).default(2 ** 27, '128MiB'))
    .addOption(new Option('--rate <rate>', 'of every link, both ways').argParser(rate).default(12.5e6, '100Mbit/s'))
    .option('--readers', 'a reader in order on every host', false)
    .addOption(
      new Option('--rounds <n>', 'herds on real links; their times are pooled').argParser(whole(1, 50)).default(3),
    )
    .addOption(new Option('--congestion <name>', 'TCP congestion control').choices(['reno', 'bbr']).default('reno'))
    .addOption(new Option('--seed <n>', 'of the simulation').argParser(whole(0, 2 ** 31 - 1)).default(1))
    .option('--json', 'print one JSON object as the last line', false)
    .action(run);
}
