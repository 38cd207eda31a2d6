/** `shoal access issuers` and `certificates`, as commands. */

import type { Command } from 'commander';
import type { FetchEnv } from '../../../platform/access/issuers/fetch.ts';
import { HELP } from '../../help.ts';
import { type AskedOfIndex, indexCommands } from '../index-option.ts';
import type { Commanding } from '../origins/commands.ts';

export function addElsewhereCommands(access: Command, commanding: Commanding & { readonly env: FetchEnv }): void {
  const { finishing, stoppable, say, transport, env } = commanding;
  const issuers = access.command('issuers').description('whose tokens are taken: OpenID providers, Kubernetes');
  const certificates = access.command('certificates').description('client certificates that are users');
  const add = indexCommands(issuers, HELP.access, commanding);
  add('set', 'replaces all issuers by those of a file (YAML), and looks whether their keys can be had')
    .argument('<file>')
    .action((file: string, { index }: AskedOfIndex) =>
      finishing(async (signal) => {
        const { setIssuers } = await import('./elsewhere.ts');
        const { lines, problems } = await setIssuers({ index, signal, transport }, file, env);
        for (const line of lines) say(line);
        for (const problem of problems) process.stderr.write(`${problem}\n`);
      }),
    );
  add('show', 'the issuers, as a file for `set`').action(({ index, json = false }: AskedOfIndex) =>
    stoppable(async (signal) =>
      say(await (await import('./elsewhere.ts')).showIssuers({ index, signal, transport }, json)),
    ),
  );
  const addOf = indexCommands(certificates, HELP.access, commanding);
  addOf('set', 'whose certificates are users, and how they are named: of a file (YAML)')
    .argument('<file>')
    .action((file: string, { index }: AskedOfIndex) =>
      finishing(async (signal) =>
        say(await (await import('./elsewhere.ts')).setCertificates({ index, signal, transport }, file)),
      ),
    );
  addOf('drop', 'no certificate is a user from then on').action(({ index }: AskedOfIndex) =>
    finishing(async (signal) =>
      say(await (await import('./elsewhere.ts')).dropCertificates({ index, signal, transport })),
    ),
  );
  addOf('show', 'what is set, as a file for `set`').action(({ index, json = false }: AskedOfIndex) =>
    stoppable(async (signal) =>
      say(await (await import('./elsewhere.ts')).showUserCertificates({ index, signal, transport }, json)),
    ),
  );
}
