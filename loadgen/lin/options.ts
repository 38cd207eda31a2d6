/** The options of `loadgen lin`: parsed, checked, each error naming its option. */

import { Command, InvalidArgumentError, Option } from 'commander';
import { whole } from '../../harness/option-values.ts';
import { type Engine, engineOf } from '../indexes/store.ts';
import { type FaultKind, faultKinds } from './faults.ts';

export type LinOptions = {
  readonly store: Engine;
  readonly indexes: number;
  readonly operations: number;
  readonly callers: number;
  readonly tags: number;
  readonly faults: readonly FaultKind[];
  readonly seed: number;
  readonly json: boolean;
};

function kinds(text: string): FaultKind[] {
  if (text === 'none') return [];
  return text.split(',').map((one) => {
    const kind = faultKinds.find((known) => known === one);
    if (kind === undefined) throw new InvalidArgumentError(`expected none, or some of ${faultKinds.join(',')}.`);
    return kind;
  });
}

export function linCommand(run: (options: LinOptions) => Promise<void>): Command {
  return new Command('lin')
    .description(
      'reads, writes, compare-and-sets and deletions of tags on real index processes under faults: is what callers were told linearizable?',
    )
    .addOption(
      new Option('--store <engine>', 'sqlite, postgres://…, or a YAML file with `store:` of an index')
        .argParser(engineOf)
        .default(engineOf('sqlite'), 'sqlite'),
    )
    .addOption(new Option('--indexes <n>', 'index processes on it').argParser(whole(1, 9)).default(1))
    .addOption(new Option('--operations <n>', 'in all').argParser(whole(10, 1_000_000)).default(10_000))
    .addOption(new Option('--callers <n>', 'at the same time').argParser(whole(1, 200)).default(12))
    .addOption(new Option('--tags <n>', 'that they read and write').argParser(whole(1, 1_000)).default(8))
    .addOption(
      new Option('--faults <kind,kind,...>', `none, or some of ${faultKinds.join(',')}`)
        .argParser(kinds)
        .default(faultKinds, 'all'),
    )
    .addOption(new Option('--seed <n>', 'decides faults and operations').argParser(whole(0, 2 ** 31 - 1)).default(1))
    .option('--json', 'print one JSON object as the last line', false)
    .action(async (options: LinOptions, command: Command) => {
      if (options.indexes > 1 && !options.store.shared)
        command.error(`--indexes: ${options.store.name} is for one process`);
      await run(options);
    });
}
