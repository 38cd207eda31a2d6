/**
 * `shoal agent|origin|tracker|index|proxy`: becomes the component's process. The command line imports no
 * component: it replaces itself with one (exec), so that there is one process to signal and to supervise.
 */

import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { ROLES, type Role } from '../../platform/config/common.ts';
import { readRole } from '../../platform/config/load.ts';
import type { Env } from '../../platform/config/yaml.ts';
import { entryUrl } from '../../platform/lifecycle/entry.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { launchEnv, launchFlags, nurseryOf } from '../../platform/lifecycle/launch.ts';

export function becomeRole(role: Role, args: readonly string[], env: Env): void {
  const command = [
    ...launchFlags(nurseryOf(role)),
    ...process.execArgv,
    fileURLToPath(entryUrl(`../../${role}/main.ts`, import.meta.url)),
    ...args,
  ];
  const launched = definedOnly({ ...launchEnv(), ...env });
  // Linux and macOS only; elsewhere a child with signals and exit code passed on.
  if (typeof process.execve === 'function') process.execve(process.execPath, [process.execPath, ...command], launched);
  const child = spawn(process.execPath, command, { stdio: 'inherit', env: launched });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
}

function definedOnly(env: Env): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

export type CheckOptions = { readonly set: readonly string[]; readonly online?: boolean; readonly json?: boolean };

/** `shoal config check FILE`: the role is the file's own. */
export function checkConfig(file: string, { set, online, json }: CheckOptions, env: Env): void {
  if (json === true && online !== true) throw new StartError('--json goes with --online: say both');
  const role = readRole(file, env);
  if (!isRole(role)) {
    const found = role === undefined ? 'no role' : `the role "${role}"`;
    throw new StartError(`${file}: has ${found}: write \`role: ${ROLES.join('|')}\``);
  }
  const how = [...(online === true ? ['--online'] : []), ...(json === true ? ['--json'] : [])];
  becomeRole(role, ['--check', ...how, '--config', file, ...set.flatMap((one) => ['--set', one])], env);
}

export function isRole(text: string | undefined): text is Role {
  return ROLES.some((role) => role === text);
}
