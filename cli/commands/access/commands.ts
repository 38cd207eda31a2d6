/** `shoal access`: users, groups, rules and the key of tokens (docs/access.md). */

import { type Command, Option } from 'commander';
import type { FetchEnv } from '../../../platform/access/issuers/fetch.ts';
import { collect } from '../../arguments.ts';
import { Failure } from '../../failure.ts';
import { HELP } from '../../help.ts';
import { readSecret } from '../../ui/secret.ts';
import { type AskedOfIndex, indexCommands } from '../index-option.ts';
import type { Commanding } from '../origins/commands.ts';
import type { AskingIndex } from './document.ts';
import { addElsewhereCommands } from './elsewhere-commands.ts';

type Grouped = AskedOfIndex & { readonly group: readonly string[] };

const groupOption = (): Option =>
  new Option('--group <name>', 'that they are in; may be repeated').argParser(collect).default([], 'none');

export function addAccessCommands(access: Command, commanding: Commanding & { readonly env: FetchEnv }): void {
  addUserCommands(access, commanding);
  addRuleCommands(access, commanding);
  addElsewhereCommands(access, commanding);
  const { finishing, say, transport } = commanding;
  const add = indexCommands(access, HELP.access, commanding);
  add(
    'import-htpasswd',
    'takes the users of a file that `htpasswd -B` wrote; lines that are wrong are named and left out',
  )
    .argument('<file>')
    .addOption(groupOption())
    .action((file: string, { index, group }: Grouped) =>
      finishing(async (signal) => {
        const { importHtpasswd } = await import('./users.ts');
        const { line, problems } = await importHtpasswd({ index, signal, transport }, { file, groups: group });
        for (const problem of problems) process.stderr.write(`${problem}\n`);
        say(line);
        if (problems.length > 0) process.exitCode = 1;
      }),
    );
  add('rotate-key', 'has the proxies sign tokens with another key')
    .option('--forget-old', 'what older keys signed counts no more, at once: for a key that somebody else has got')
    .action(({ index, forgetOld = false }: AskedOfIndex & { readonly forgetOld?: boolean }) =>
      finishing(async (signal) => {
        const { rotateKey } = await import('./rules.ts');
        say(await rotateKey({ index, signal, transport }, forgetOld));
      }),
    );
}

function addUserCommands(access: Command, commanding: Commanding): void {
  const { finishing, stoppable, say, transport } = commanding;
  const add = indexCommands(access.command('user').description('who there is'), HELP.access, commanding);
  const secret = (signal: AbortSignal) => () =>
    readSecret('password', { stdin: process.stdin, screen: process.stderr, signal });
  const changing = (act: (users: typeof import('./users.ts'), asking: AskingIndex) => Promise<string>, index: string) =>
    finishing(async (signal) => say(await act(await import('./users.ts'), { index, signal, transport })));
  add('add', 'adds a user; the password is asked for, or the first line of standard input')
    .argument('<name>')
    .addOption(groupOption())
    .action((name: string, { index, group }: Grouped) =>
      changing((users, asking) => users.addUser(asking, { name, groups: group }, secret(asking.signal)), index),
    );
  add('passwd', "sets a user's password")
    .argument('<name>')
    .action((name: string, { index }: AskedOfIndex) =>
      changing((users, asking) => users.setPassword(asking, name, secret(asking.signal)), index),
    );
  add('groups', 'says which groups a user is in, and no others')
    .argument('<name>')
    .argument('[groups...]')
    .action((name: string, groups: readonly string[], { index }: AskedOfIndex) =>
      changing((users, asking) => users.setGroups(asking, name, groups), index),
    );
  add('rm', 'removes a user, whose tokens open nothing from then on')
    .argument('<name>')
    .action((name: string, { index }: AskedOfIndex) =>
      changing((users, asking) => users.removeUser(asking, name), index),
    );
  add('ls', 'users, and the groups that they are in').action(({ index, json = false }: AskedOfIndex) =>
    stoppable(async (signal) => say(await (await import('./users.ts')).listUsers({ index, signal, transport }, json))),
  );
}

function addRuleCommands(access: Command, commanding: Commanding): void {
  const { finishing, stoppable, say, transport } = commanding;
  const rules = access.command('rules').description('who may do what, in which repositories');
  const add = indexCommands(rules, HELP.access, commanding);
  add('set', 'replaces all rules by those of a file (YAML)')
    .argument('<file>')
    .action((file: string, { index }: AskedOfIndex) =>
      finishing(async (signal) => {
        const { setRules } = await import('./rules.ts');
        const { line, odd } = await setRules({ index, signal, transport }, file);
        for (const one of odd) process.stderr.write(`${one}\n`);
        say(line);
      }),
    );
  add('show', 'the rules, as a file for `set`').action(({ index, json = false }: AskedOfIndex) =>
    stoppable(async (signal) => say(await (await import('./rules.ts')).showRules({ index, signal, transport }, json))),
  );
  add('check', 'what of users and rules is probably not meant: exit code 1 where anything is').action(
    ({ index }: AskedOfIndex) =>
      stoppable(async (signal) => {
        const odd = await (await import('./rules.ts')).oddRules({ index, signal, transport });
        for (const one of odd) say(one);
        if (odd.length > 0) throw new Failure(`${odd.length} of this is probably not meant`);
        say('nothing is odd');
      }),
  );
}
