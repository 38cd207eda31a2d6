/** The options of `loadgen restart`: parsed, checked, each error naming its option. */

import { Command, Option } from 'commander';
import { duration, number, whole } from '../../harness/option-values.ts';

export type RestartOptions = {
  readonly agents: number;
  /** Blobs that each agent holds. */
  readonly leases: number;
  /** Distinct blobs. */
  readonly blobs: number;
  readonly trackers: number;
  /** How long one of the trackers is gone. */
  readonly downMs: number;
  /** Whether it hangs, and knows everything afterwards. */
  readonly hangs: boolean;
  /** Blobs that agents begin to pull, a second. */
  readonly pulls: number;
  /** What a tracker's core spends on a request, and on each blob in it, microseconds. */
  readonly requestUs: number;
  readonly entryUs: number;
  readonly seed: number;
  readonly json: boolean;
};

export function restartCommand(run: (options: RestartOptions) => Promise<void>): Command {
  const command = new Command('restart').description(
    'a tracker that is killed and starts again with nothing, in virtual time: what thousands of hosts then tell it, and when',
  );
  const add = (flags: string, text: string, parse: (text: string) => unknown, fallback: unknown): void => {
    command.addOption(new Option(flags, text).argParser(parse).default(fallback));
  };
  add('--agents <n>', 'agents', whole(1, 100_000), 15_000);
  add('--leases <n>', 'blobs that each agent holds', whole(1, 2_000), 60);
  add('--blobs <n>', 'distinct blobs', whole(1, 1_000_000), 2_000);
  add('--trackers <n>', 'trackers, one of which is restarted', whole(1, 16), 1);
  add('--down <time>', 'how long it is gone', duration(0, 'a duration such as 20s'), 20_000);
  command.option('--hangs', 'it hangs meanwhile, and knows everything afterwards', false);
  add('--pulls <n>', 'blobs that agents begin to pull, a second', whole(0, 10_000), 100);
  add('--request-us <n>', 'what a request costs a tracker’s core, microseconds', number(0, 1e6), 120);
  add('--entry-us <n>', 'what each blob in it costs, microseconds', number(0, 1e6), 6);
  add('--seed <n>', 'determines everything', whole(0, 2 ** 31 - 1), 1);
  return command
    .option('--json', 'print one JSON object as the last line', false)
    .action((given: { down: number } & Omit<RestartOptions, 'downMs'>) => {
      const { down: downMs, ...rest } = given;
      return run({ ...rest, downMs });
    });
}
