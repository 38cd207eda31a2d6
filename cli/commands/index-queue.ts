/** The sub-commands of `shoal index`: what waits in it to be written to a backend, tags above all. */

import { type Command, Option } from 'commander';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { HELP } from '../help.ts';
import type { OriginOptions } from './origins/blobs.ts';
import type { Commanding } from './origins/commands.ts';
import { changeQueue, listQueue } from './origins/queue.ts';
import { indexDefault } from './steps.ts';

type Given = { readonly index: string; readonly json?: boolean };

export function addIndexCommands(role: Command, { finishing, stoppable, url, say }: Commanding): void {
  const queue = role.command('queue').description('what waits to be written to a backend');
  const add = (name: string, description: string): Command =>
    queue
      .command(name)
      .description(description)
      .addOption(
        new Option('--index <url>', 'the index to ask')
          .argParser(url(indexDefault))
          .default(indexDefault)
          .env('SHOAL_INDEX'),
      )
      .option('--json', 'JSON in place of text')
      .addHelpText('after', HELP.index);
  // A queue is asked alike, whoever has it.
  const of = ({ index, json = false }: Given, signal: AbortSignal): OriginOptions => ({
    origin: index,
    json,
    signal,
    screen: process.stderr,
  });

  add('ls', 'tags, manifests and links that a backend has not got yet, and why they failed last')
    .option('--backend <name>', 'only of this backend')
    .option('--sums', 'only how much of each backend')
    .action(({ backend, sums = false, ...given }: Given & { readonly backend?: string; readonly sums?: boolean }) =>
      stoppable((signal) => listQueue({ dead: false, backend, sums }, of(given, signal), say)),
    );
  add('retry', 'tries again at once what failed: nothing has to be, it is tried again by itself')
    .argument('[key]', 'one row, as ls shows it')
    .option('--all', 'all that failed')
    .action((key: string | undefined, { all = false, ...given }: Given & { readonly all?: boolean }) => {
      if (all === (key !== undefined)) throw new StartError('give the key of a row, or --all');
      return finishing(async (signal) => say(await changeQueue('retry', key, of(given, signal))));
    });
}
