/**
 * What `docker login` left: `~/.docker/config.json`, with users and secrets in it, or the helpers that know them.
 *
 * Rule: as docker does: a helper of the registry before the one for all, that one before what is in the file; and Docker Hub
 *       goes by the address of its first version.
 */

import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BackendError } from '../../backend.ts';
import { helperBytesMax } from '../limits.ts';
import { askHelper } from './credential-program.ts';
import type { LoginSource, RegistryLogin } from './login.ts';

type Env = Readonly<Record<string, string | undefined>>;
type DockerEntry = Readonly<Record<string, unknown>>;
type DockerConfig = {
  readonly auths?: Readonly<Record<string, DockerEntry>>;
  readonly credsStore?: unknown;
  readonly credHelpers?: Readonly<Record<string, unknown>>;
};

const hub = 'https://index.docker.io/v1/';
const HUB_HOSTS: ReadonlySet<string> = new Set(['registry-1.docker.io', 'index.docker.io', 'docker.io']);

export type DockerLoginOf = { readonly backend: string; readonly host: string; readonly env: Env };

/** `said`: a file; true: docker's own. */
export function dockerLogins(said: string | true, of: DockerLoginOf): LoginSource {
  const file = said === true ? ownFile(of.env) : said;
  return {
    name: `credentials.dockerConfig ${file}`,
    look: async (signal) => ({ login: await loginFrom(await read(file, of.backend), of, signal) }),
  };
}

function ownFile(env: Env): string {
  return join(env['DOCKER_CONFIG'] ?? join(env['HOME'] ?? '/', '.docker'), 'config.json');
}

async function read(file: string, backend: string): Promise<DockerConfig> {
  const wrong = (why: string): BackendError =>
    new BackendError(
      'credentials',
      `${backend}: credentials.dockerConfig ${file}: ${why}: run \`docker login\`, or name another file`,
    );
  try {
    if ((await stat(file)).size > helperBytesMax) throw wrong(`has more than ${helperBytesMax} bytes`);
    const parsed: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (typeof parsed !== 'object' || parsed === null) throw wrong('is no JSON object');
    return parsed;
  } catch (error) {
    if (error instanceof BackendError) throw error;
    // A syntax error quotes what it stumbles over, which may be a secret.
    throw wrong(error instanceof SyntaxError ? 'is no JSON' : (error as Error).message);
  }
}

async function loginFrom(
  { auths = {}, credsStore, credHelpers = {} }: DockerConfig,
  { backend, host, env }: DockerLoginOf,
  signal: AbortSignal,
): Promise<RegistryLogin | undefined> {
  const server = HUB_HOSTS.has(host) ? hub : host;
  const own = entryOf(credHelpers, server);
  const helper = own ?? credsStore;
  if (typeof helper === 'string' && helper !== '') {
    const login = await askHelper({ backend, helper, server, env, signal });
    if (login !== undefined || own !== undefined) return login;
  }
  const entry = entryOf(auths, server);
  return entry === undefined ? undefined : loginIn(entry);
}

/** Files of older versions have a scheme, and a path behind the host. */
function entryOf<T>(all: Readonly<Record<string, T>>, server: string): T | undefined {
  if (Object.hasOwn(all, server)) return all[server];
  const host = hostOf(server);
  const found = Object.keys(all).find((key) => hostOf(key) === host);
  return found === undefined ? undefined : all[found];
}

function hostOf(key: string): string {
  return key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');
}

function loginIn(entry: DockerEntry): RegistryLogin | undefined {
  const text = (name: string): string | undefined => {
    const value = entry[name];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const [identity, bearer, auth] = [text('identitytoken'), text('registrytoken'), text('auth')];
  if (identity !== undefined) return { kind: 'identity', token: identity };
  if (bearer !== undefined) return { kind: 'bearer', token: bearer };
  const decoded = auth === undefined ? '' : Buffer.from(auth, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  const username = text('username') ?? (colon < 0 ? undefined : decoded.slice(0, colon));
  const password = text('password') ?? (colon < 0 ? undefined : decoded.slice(colon + 1).replace(/\0+$/, ''));
  return username === undefined || password === undefined ? undefined : { kind: 'password', username, password };
}
