/** The sub-commands of `shoal index`: what waits in it for a backend or another target, tags above all. */

import { type Command, Option } from 'commander';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { HELP } from '../help.ts';
import { type AskedOfIndex, indexCommands } from './index-option.ts';
import type { OriginOptions } from './origins/blobs.ts';
import type { Commanding } from './origins/commands.ts';
import { changeQueue, listQueue } from './origins/queue.ts';

type Listed = { readonly target?: string; readonly backend?: string; readonly dead?: boolean; readonly sums?: boolean };
type Changed = { readonly target?: string; readonly all?: boolean };

export function addIndexCommands(role: Command, commanding: Commanding): void {
  const { finishing, stoppable, say, transport } = commanding;
  const queue = role.command('queue').description('what waits to be told to a backend, or another target');
  const add = indexCommands(queue, HELP.index, commanding);
  // A queue is asked alike, whoever has it.
  const of = ({ index, json = false }: AskedOfIndex, signal: AbortSignal): OriginOptions => ({
    origin: { base: index, transport },
    json,
    signal,
    screen: process.stderr,
  });

  add('ls', 'tags, manifests and links that a backend, or another target, has not got yet, and why they failed last')
    .option('--dead', 'only what is not tried again by itself')
    .addOption(new Option('--target <name>', 'only of this backend, or other target').conflicts('backend'))
    .option('--backend <name>', 'the same')
    .option('--sums', 'only how much of each target')
    .action(({ target, backend, dead = false, sums = false, ...given }: AskedOfIndex & Listed) =>
      stoppable((signal) => listQueue({ dead, backend: target ?? backend, sums }, of(given, signal), say)),
    );
  const change = (act: 'retry' | 'drop', description: string, all: string) =>
    add(act, description)
      .argument('[key]', 'one row, as ls shows it')
      .option('--target <name>', 'all that waits for this target')
      .option('--all', all)
      .action((key: string | undefined, { target, all: every = false, ...given }: AskedOfIndex & Changed) => {
        if ([key, target, every || undefined].filter((one) => one !== undefined).length !== 1)
          throw new StartError('give the key of a row, or --target, or --all');
        const chosen = target === undefined ? key : `@${target}`;
        return finishing(async (signal) => say(await changeQueue(act, chosen, of(given, signal))));
      });
  change(
    'retry',
    'tries again at once what failed, and what is dead: all else is tried again by itself',
    'all that failed',
  );
  change('drop', 'gives up what is dead, or what waits for a target that is configured no more', 'all that is dead');
}
