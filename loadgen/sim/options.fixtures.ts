/** Options as the command line gives them, for tests of whole runs. */

import { type SimOptions, simCommand } from './options.ts';

export async function optionsOf(line: string): Promise<SimOptions> {
  let options: SimOptions | undefined;
  const command = simCommand(async (given) => {
    options = given;
  });
  command.exitOverride().configureOutput({ writeErr: () => undefined });
  await command.parseAsync(line.split(' '), { from: 'user' });
  return options as SimOptions;
}
