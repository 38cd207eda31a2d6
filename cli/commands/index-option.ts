/** Which index a command of an operator's asks: the options that all of them have. */

import { type Command, Option } from 'commander';
import type { Commanding } from './origins/commands.ts';
import { indexDefault } from './steps.ts';

/** `what`: said in the help of the command. */
export function indexOption(what: string, url: Commanding['url']): Option {
  return new Option('--index <url>', what).argParser(url(indexDefault)).default(indexDefault).env('SHOAL_INDEX');
}

export type AskedOfIndex = { readonly index: string; readonly json?: boolean };

/** Sub-commands of `parent`, each of which asks an index, and tells of it in text or as JSON. `help`: after the options. */
export function indexCommands(
  parent: Command,
  help: string,
  { url }: Pick<Commanding, 'url'>,
): (name: string, description: string) => Command {
  return (name, description) =>
    parent
      .command(name)
      .description(description)
      .addOption(indexOption('the index to ask', url))
      .option('--json', 'JSON in place of text')
      .addHelpText('after', help);
}
