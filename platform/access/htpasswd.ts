/**
 * Files as `htpasswd -B` writes them: a line a user, `name:hash`.
 *
 * Rule: a bad line is named, by its number and never with its hash, and the others count.
 */

import { hashProblem, userNameValid, usersMax } from '../../core/access/documents.ts';

export type HtpasswdUser = { readonly name: string; readonly password: string };
export type Htpasswd = {
  readonly users: readonly HtpasswdUser[];
  /** A line each. */
  readonly problems: readonly string[];
};

/** Of a name that stands there twice the last line counts, as everywhere. */
export function htpasswdIn(text: string): Htpasswd {
  const users = new Map<string, HtpasswdUser>();
  const problems: string[] = [];
  text.split(/\r?\n/).forEach((line, i) => {
    if (line.trim() === '' || line.startsWith('#')) return;
    const problem = take(line, users);
    if (problem !== undefined) problems.push(`line ${i + 1}: ${problem}`);
  });
  return { users: [...users.values()], problems };
}

function take(line: string, users: Map<string, HtpasswdUser>): string | undefined {
  const [, name, password = ''] = /^([^:]*):([^:\s]*)/.exec(line) ?? [];
  if (name === undefined) return 'has no colon: name:hash is expected';
  if (!userNameValid(name))
    return `'${name.slice(0, 80)}' is no name: letters, digits, '.', '_', '@', '+' and '-', 64 at most`;
  const problem = hashProblem(password);
  if (problem !== undefined) return `the password of ${name} ${problem}`;
  if (!users.has(name) && users.size >= usersMax) return `there are more than ${usersMax} users`;
  users.set(name, { name, password });
  return undefined;
}
