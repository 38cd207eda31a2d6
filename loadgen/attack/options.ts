/** The options of `loadgen attack`: parsed, checked, each error naming its option. */

import { Command, Option } from 'commander';
import { duration, whole } from '../../harness/option-values.ts';

/** Each is a file of loadgen/attack/kinds; what it does says its command's help. */
export const ATTACKS = [
  'slow-bodies',
  'slow-headers',
  'header-floods',
  'smuggling',
  'path-escape',
  'header-injection',
  'bombs',
  'pipelining',
  'idle',
  'huge-json',
  'deep-json',
  'half-tls',
  'upgrades',
  'peer-nonsense',
] as const;
export type AttackName = (typeof ATTACKS)[number];

/** More than one address has ports for on one of ours. */
const connectionsMax = 28_000;

export type AttackOptions = {
  /** Empty: all. */
  readonly only: readonly AttackName[];
  /** Of each attack on each port. */
  readonly durationMs: number;
  /** That are held open at a time. */
  readonly connections: number;
  /** On one port each, and not on every one. */
  readonly short: boolean;
  readonly json: boolean;
};

/** What a short run has. */
const short = { durationMs: 400, connections: 300 } as const;

export function attackCommand(run: (options: AttackOptions) => Promise<void>): Command {
  return new Command('attack')
    .description(
      'every port of a real cluster attacked while others use it: the processes live, in bounded memory, and everybody else is answered',
    )
    .addOption(
      new Option('--only <name...>', 'these attacks').choices(ATTACKS).default([] as AttackName[], 'all of them'),
    )
    .addOption(
      new Option('--duration <time>', 'of each attack on each port')
        .argParser(duration(100, 'a duration from 100ms on, such as 5s'))
        .default(5_000, '5s'),
    )
    .addOption(
      new Option('--connections <n>', 'that are held open at a time, from several processes')
        .argParser(whole(1, connectionsMax))
        .default(20_000),
    )
    .option(
      '--short',
      `each attack on one port, the next one on the next; ${short.durationMs} ms and ${short.connections} connections`,
      false,
    )
    .option('--json', 'print one JSON object as the last line', false)
    .action(async (given: { duration: number } & Omit<AttackOptions, 'durationMs'>) => {
      const { duration: durationMs, ...rest } = given;
      await run({ ...rest, durationMs, ...(rest.short && short) });
    });
}
