/** The options of `loadgen pull`: parsed, checked, each error naming its option. */

import { Command, Option } from 'commander';
import { duration, size, whole } from '../../harness/option-values.ts';

export const KINDS = ['blob', 'range', 'head'] as const;
export type Kind = (typeof KINDS)[number];
export const TARGETS = ['agent', 'proxy'] as const;
export type Target = (typeof TARGETS)[number];

export type PullOptions = {
  readonly blobs: number;
  /** Bytes of each blob. */
  readonly size: number;
  readonly readers: number;
  readonly durationMs: number;
  readonly kinds: readonly Kind[];
  readonly targets: readonly Target[];
  readonly json: boolean;
};

type Given = Omit<PullOptions, 'durationMs' | 'kinds' | 'targets'> & {
  duration: number;
  kind: Kind[];
  target: Target[];
};

export function pullCommand(run: (options: PullOptions) => Promise<void>): Command {
  return new Command('pull')
    .description('HTTP load on an agent and on the proxy: requests a second, GB/s, latency')
    .addOption(new Option('--blobs <n>', 'distinct blobs, drawn at random').argParser(whole(1, 100_000)).default(16))
    .addOption(
      new Option('--size <size>', 'bytes of each')
        .argParser(size(1, 'a size such as 4KiB or 64MiB'))
        .default(2 ** 22, '4MiB'),
    )
    .addOption(
      new Option('--readers <n>', 'connections that read at the same time').argParser(whole(1, 1_000)).default(16),
    )
    .addOption(
      new Option('--duration <time>', 'of each kind on each target')
        .argParser(duration(200, 'a duration from 200ms on, such as 5s'))
        .default(5_000, '5s'),
    )
    .addOption(
      new Option('--kind <kind...>', 'what is asked for; range: 64 KiB out of the middle')
        .choices(KINDS)
        .default([...KINDS]),
    )
    .addOption(new Option('--target <name...>', 'who is asked').choices(TARGETS).default([...TARGETS]))
    .option('--json', 'print one JSON object as the last line', false)
    .action(async (given: Given) => {
      const { duration: durationMs, kind: kinds, target: targets, ...rest } = given;
      await run({ ...rest, durationMs, kinds, targets });
    });
}
