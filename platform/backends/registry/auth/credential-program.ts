/**
 * A credential helper of docker 's: a program `docker-credential-NAME` that is told a registry and answers with a user and a
 * secret (github.com/docker/docker-credential-helpers).
 *
 * Rule: it has a time limit, and what it says is bounded. What it says of itself when it fails is told; its secret never is.
 */

import { execFile } from 'node:child_process';
import { BackendError } from '../../backend.ts';
import { helperBytesMax, loginMsMax } from '../limits.ts';
import type { RegistryLogin } from './login.ts';

export type HelperCall = {
  /** Of the backend, for messages. */
  readonly backend: string;
  readonly helper: string;
  /** As docker names the registry. */
  readonly server: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
};

/** What docker's helpers answer with where they know nothing. */
const UNKNOWN = /credentials not found/i;
/** In place of a user: the secret is no password. */
const identityUser = '<token>';

/** undefined: it knows none. */
export async function askHelper(call: HelperCall): Promise<RegistryLogin | undefined> {
  const program = `docker-credential-${call.helper}`;
  const failed = (why: string): BackendError =>
    new BackendError(
      'credentials',
      `${call.backend}: ${program} for ${call.server}: ${why}: run it by hand (echo ${call.server} | ${program} get)`,
    );
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(call.helper)) throw failed('is no name of a helper');
  const { failure, said, complaint } = await run(program, call);
  if (UNKNOWN.test(said) || UNKNOWN.test(complaint)) return undefined;
  if (failure?.code === 'ENOENT') throw failed('it is not installed, or not on the PATH of this process');
  if (failure?.killed === true) throw failed(`no answer within ${loginMsMax / 1000} s`);
  if (failure !== undefined) throw failed(oneLine(complaint || said) || failure.message);
  return loginIn(said) ?? refuse(failed('does not answer with a user and a secret'));
}

type Ran = {
  readonly failure: (Error & { readonly code?: unknown; readonly killed?: boolean | undefined }) | undefined;
  readonly said: string;
  readonly complaint: string;
};

function run(program: string, { server, env, signal }: HelperCall): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { env: { ...env }, timeout: loginMsMax, maxBuffer: helperBytesMax, signal, killSignal: 'SIGKILL' };
    const child = execFile(program, ['get'], options as object, (error, stdout, stderr) =>
      resolve({ failure: error ?? undefined, said: String(stdout), complaint: String(stderr) }),
    );
    // One that ends without reading is told by its end.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(`${server}\n`);
  });
}

function loginIn(text: string): RegistryLogin | undefined {
  try {
    const { Username: username, Secret: password } = JSON.parse(text) as Record<string, unknown>;
    if (typeof username !== 'string' || typeof password !== 'string' || password === '') return undefined;
    return username === identityUser ? { kind: 'identity', token: password } : { kind: 'password', username, password };
  } catch {
    return undefined;
  }
}

function refuse(error: Error): never {
  throw error;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim().slice(0, 300);
}
