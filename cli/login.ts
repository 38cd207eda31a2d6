/**
 * Who the user of a command is to a registry that asks: SHOAL_USER with SHOAL_PASSWORD or SHOAL_PASSWORD_FILE, else what
 * `docker login` left.
 */

import { readFile } from 'node:fs/promises';
import type { FindLogin } from '../platform/clients/registry/login.ts';
import { StartError } from '../platform/lifecycle/errors.ts';

type Env = Readonly<Record<string, string | undefined>>;

export function loginsOf(env: Env): FindLogin {
  return async (hosts, signal) => {
    const username = env['SHOAL_USER'];
    if (username !== undefined && username !== '')
      return { kind: 'password', username, password: await passwordOf(env) };
    const { dockerLogins } = await import('../platform/backends/registry/auth/docker-config.ts');
    for (const host of hosts) {
      // Where there is no such file nobody has logged in.
      const found = await dockerLogins(true, { backend: 'docker', host, env })
        .look(signal)
        .catch(() => undefined);
      if (found?.login !== undefined) return found.login;
    }
    return undefined;
  };
}

async function passwordOf(env: Env): Promise<string> {
  const { SHOAL_PASSWORD: password, SHOAL_PASSWORD_FILE: file } = env;
  if (password !== undefined) return password;
  if (file === undefined) throw new StartError('SHOAL_USER is set: give SHOAL_PASSWORD_FILE, or SHOAL_PASSWORD');
  try {
    return (await readFile(file, 'utf8')).split(/\r?\n/, 1)[0] as string;
  } catch (error) {
    throw new StartError(`SHOAL_PASSWORD_FILE: ${file}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
