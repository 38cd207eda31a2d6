/** Where a rule says that we are known from: one source each; a cloud's library is loaded where it is used. */

import { readFile } from 'node:fs/promises';
import { library } from '../../library.ts';
import type { CredentialsSaid } from '../config.ts';
import { helperBytesMax } from '../limits.ts';
import { dockerLogins } from './docker-config.ts';
import type { LoginSource, Look, RegistryLogin, SourceOf } from './login.ts';

export function loginSource(said: CredentialsSaid, of: SourceOf): LoginSource {
  if (said === undefined) return fixed('this rule, which has none', undefined);
  if ('password' in said) return fixed('credentials', { kind: 'password', ...said });
  if ('token' in said) return fixed('credentials.token', { kind: 'bearer', token: said.token });
  if ('passwordFile' in said) return passwordIn(said.username, said.passwordFile);
  if ('dockerConfig' in said) return dockerLogins(said.dockerConfig, { ...of, host: of.base.host });
  const { backend } = of;
  if ('ecr' in said)
    return later('credentials.ecr', async () => {
      const { ecrLogins } = await library('@aws-sdk/client-ecr', () => import('./ecr.ts'), backend);
      return ecrLogins(said.ecr, of);
    });
  if ('google' in said)
    return later('credentials.google', async () => {
      const { googleLogins } = await library('google-auth-library', () => import('./google.ts'), backend);
      return googleLogins(said.google);
    });
  return later('credentials.azure', async () => {
    const { azureLogins } = await library('@azure/identity', () => import('./azure.ts'), backend);
    return azureLogins(said.azure, of);
  });
}

/** Loaded once, when we are to be known for the first time. */
function later(name: string, load: () => Promise<Look>): LoginSource {
  let loaded: Promise<Look> | undefined;
  return {
    name,
    look: async (signal) => {
      loaded ??= load();
      return await (await loaded)(signal);
    },
  };
}

function fixed(name: string, login: RegistryLogin | undefined): LoginSource {
  return { name, fixed: true, look: async () => ({ login, forMs: Number.POSITIVE_INFINITY }) };
}

function passwordIn(username: string, file: string): LoginSource {
  return {
    name: `credentials.passwordFile ${file}`,
    look: async () => {
      const password = (await readFile(file, 'utf8')).slice(0, helperBytesMax).trim();
      if (password === '') throw new Error('the file is empty');
      return { login: { kind: 'password', username, password } };
    },
  };
}
