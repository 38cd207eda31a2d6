/** The options of `loadgen tags`: parsed, checked, each error naming its option. */

import { Command, Option } from 'commander';
import { duration, whole } from '../../harness/option-values.ts';
import { type Engine, engineOf } from '../indexes/store.ts';

export type TagsOptions = {
  /** Empty: each whose server is installed. */
  readonly store: readonly Engine[];
  readonly readers: number;
  readonly writers: number;
  /** That are read. */
  readonly tags: number;
  /** Of each part of a round. */
  readonly durationMs: number;
  readonly rounds: number;
  /** Of the index. */
  readonly log: string;
  readonly json: boolean;
};

export function tagsCommand(run: (options: TagsOptions) => Promise<void>): Command {
  return new Command('tags')
    .description(
      'hosts that read tags, and others that write some, on a real index process: reads a second and core, writes a second, latency, and what the engine was asked',
    )
    .addOption(
      new Option(
        '--store <engine...>',
        'sqlite, postgres://…, or a YAML file with `store:` of an index (default: sqlite, and PostgreSQL and a bucket of versitygw where these are installed)',
      )
        .argParser((text: string, before: readonly Engine[] | undefined) => [...(before ?? []), engineOf(text)])
        .default([], 'each that is here'),
    )
    .addOption(new Option('--readers <n>', 'connections that read').argParser(whole(1, 15_000)).default(2_600))
    .addOption(new Option('--writers <n>', 'connections that write').argParser(whole(1, 1_000)).default(64))
    .addOption(new Option('--tags <n>', 'that are read').argParser(whole(1, 10_000)).default(20))
    .addOption(
      new Option('--duration <time>', 'of each part of a round')
        .argParser(duration(100, 'a duration from 100ms on, such as 3s'))
        .default(3_000, '3s'),
    )
    .addOption(new Option('--rounds <n>', 'of all engines in turns').argParser(whole(1, 100)).default(1))
    .addOption(
      new Option('--log <level>', "the index's; with info each request is a line")
        .choices(['info', 'warn'])
        .default('info'),
    )
    .option('--json', 'print one JSON object as the last line', false)
    .action(async (given: { duration: number } & Omit<TagsOptions, 'durationMs'>) => {
      const { duration: durationMs, ...rest } = given;
      await run({ ...rest, durationMs });
    });
}
