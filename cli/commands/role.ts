/**
 * `shoal agent|origin|tracker|index|proxy`: becomes the component's process. The command line imports no
 * component: it replaces itself with one (exec), so that there is one process to signal and to supervise.
 */

import { execFile, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { ROLES, type Role } from '../../platform/config/common.ts';
import { readRole } from '../../platform/config/load.ts';
import type { Env } from '../../platform/config/yaml.ts';
import { entryUrl } from '../../platform/lifecycle/entry.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { launchEnv, launchFlags, nurseryOf } from '../../platform/lifecycle/launch.ts';

/** Trying backends out of which one hangs: its `stall`, and a retry. */
const triedMsMax = 90_000;

export function becomeRole(role: Role, args: readonly string[], env: Env): void {
  const command = commandOf(role, args);
  const launched = definedOnly({ ...launchEnv(), ...env });
  // Linux and macOS only; elsewhere a child with signals and exit code passed on.
  if (typeof process.execve === 'function') process.execve(process.execPath, [process.execPath, ...command], launched);
  const child = spawn(process.execPath, command, { stdio: 'inherit', env: launched });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
}

/** What `shoal config check --online` says of the backends of a configuration, a line each. */
export async function triedOnline(role: Role, file: string, env: Env): Promise<{ right: boolean; said: string }> {
  const command = commandOf(role, ['--check', '--online', '--config', file]);
  const options = { env: definedOnly({ ...launchEnv(), ...env }), timeout: triedMsMax };
  const { promise, resolve } = Promise.withResolvers<{ right: boolean; said: string }>();
  execFile(process.execPath, command, options, (error, stdout) => {
    const said = stdout.split('\n').slice(1).join('\n').trim();
    resolve({ right: error === null, said: said || `no answer within ${triedMsMax / 1000} s` });
  });
  return await promise;
}

function commandOf(role: Role, args: readonly string[]): string[] {
  const entry = fileURLToPath(entryUrl(`../../${role}/main.ts`, import.meta.url));
  return [...launchFlags(nurseryOf(role)), ...process.execArgv, entry, ...args];
}

function definedOnly(env: Env): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** What is merged over a configuration file. */
type Layers = { readonly set: readonly string[]; readonly secrets: readonly string[] };

/** As arguments of a role's process. */
export function layers({ set, secrets }: Layers): string[] {
  return [...secrets.flatMap((file) => ['--secrets', file]), ...set.flatMap((one) => ['--set', one])];
}

export type RoleStart = Layers & { readonly config?: string; readonly check?: boolean };

export type CheckOptions = Layers & {
  readonly online?: boolean;
  readonly json?: boolean;
  /** Of a file that names none, as one that others extend. */
  readonly role?: string;
};

/** `shoal config check FILE`: the role is the file's own, or the one that is given. */
export function checkConfig(file: string, { set, secrets, online, json, role: given }: CheckOptions, env: Env): void {
  if (json === true && online !== true) throw new StartError('--json goes with --online: say both');
  const own = readRole(file, env);
  const role = own ?? given;
  if (!isRole(role)) {
    const found = role === undefined ? 'no role' : `the role "${role}"`;
    throw new StartError(`${file}: has ${found}: write \`role: ${ROLES.join('|')}\`, or give --role`);
  }
  const sets = own === undefined ? [`role=${role}`, ...set] : set;
  const how = [...(online === true ? ['--online'] : []), ...(json === true ? ['--json'] : [])];
  becomeRole(role, ['--check', ...how, '--config', file, ...layers({ set: sets, secrets })], env);
}

export function isRole(text: string | undefined): text is Role {
  return ROLES.some((role) => role === text);
}
