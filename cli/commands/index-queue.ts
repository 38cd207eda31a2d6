/** The sub-commands of `shoal index`: what waits in it for a backend or another target, tags above all. */

import { type Command, Option } from 'commander';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { HELP } from '../help.ts';
import { indexOption } from './index-option.ts';
import type { OriginOptions } from './origins/blobs.ts';
import type { Commanding } from './origins/commands.ts';
import { changeQueue, listQueue } from './origins/queue.ts';

type Given = { readonly index: string; readonly json?: boolean };

type Listed = { readonly target?: string; readonly backend?: string; readonly dead?: boolean; readonly sums?: boolean };
type Changed = { readonly target?: string; readonly all?: boolean };

export function addIndexCommands(role: Command, { finishing, stoppable, url, say, transport }: Commanding): void {
  const queue = role.command('queue').description('what waits to be told to a backend, or another target');
  const add = (name: string, description: string): Command =>
    queue
      .command(name)
      .description(description)
      .addOption(indexOption('the index to ask', url))
      .option('--json', 'JSON in place of text')
      .addHelpText('after', HELP.index);
  // A queue is asked alike, whoever has it.
  const of = ({ index, json = false }: Given, signal: AbortSignal): OriginOptions => ({
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
    .action(({ target, backend, dead = false, sums = false, ...given }: Given & Listed) =>
      stoppable((signal) => listQueue({ dead, backend: target ?? backend, sums }, of(given, signal), say)),
    );
  const change = (act: 'retry' | 'drop', description: string, all: string) =>
    add(act, description)
      .argument('[key]', 'one row, as ls shows it')
      .option('--target <name>', 'all that waits for this target')
      .option('--all', all)
      .action((key: string | undefined, { target, all: every = false, ...given }: Given & Changed) => {
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
