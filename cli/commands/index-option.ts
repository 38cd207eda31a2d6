/** Which index a command of an operator's asks: the option that all of them have. */

import { Option } from 'commander';
import type { Commanding } from './origins/commands.ts';
import { indexDefault } from './steps.ts';

/** `what`: said in the help of the command. */
export function indexOption(what: string, url: Commanding['url']): Option {
  return new Option('--index <url>', what).argParser(url(indexDefault)).default(indexDefault).env('SHOAL_INDEX');
}
