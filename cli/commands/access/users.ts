/** `shoal access user …` and `import-htpasswd`: who there is. */

import { readFile } from 'node:fs/promises';
import { type AccessUser, userNameValid } from '../../../core/access/documents.ts';
import { hashOf } from '../../../platform/access/hashing.ts';
import { htpasswdIn } from '../../../platform/access/htpasswd.ts';
import { StartError } from '../../../platform/lifecycle/errors.ts';
import { Failure } from '../../failure.ts';
import { table } from '../../ui/format.ts';
import { type AskingIndex, changeAccess, readAccess } from './document.ts';

export async function addUser(
  asking: AskingIndex,
  { name, groups }: Pick<AccessUser, 'name' | 'groups'>,
  secret: () => Promise<string>,
): Promise<string> {
  heedNames([name, ...groups]);
  const { users: before } = await readAccess(asking);
  heedNew(before, name);
  const password = await hashOf(await secret());
  await changeAccess(asking, ({ users }) => {
    heedNew(users, name);
    return { users: [...users, { name, password, groups }] };
  });
  return `user ${name} is added${groups.length === 0 ? '' : `, in ${groups.join(', ')}`}`;
}

export async function setPassword(asking: AskingIndex, name: string, secret: () => Promise<string>): Promise<string> {
  const { users: before } = await readAccess(asking);
  heedKnown(before, name);
  const password = await hashOf(await secret());
  await changeAccess(asking, ({ users }) => ({ users: changed(users, name, (user) => ({ ...user, password })) }));
  return `user ${name} has another password; what was logged in with the old one is out`;
}

export async function setGroups(asking: AskingIndex, name: string, groups: readonly string[]): Promise<string> {
  heedNames(groups);
  await changeAccess(asking, ({ users }) => ({ users: changed(users, name, (user) => ({ ...user, groups })) }));
  return `user ${name} is in ${groups.length === 0 ? 'no group' : groups.join(', ')}`;
}

export async function removeUser(asking: AskingIndex, name: string): Promise<string> {
  await changeAccess(asking, ({ users }) => {
    heedKnown(users, name);
    return { users: users.filter((user) => user.name !== name) };
  });
  return `user ${name} is gone`;
}

export async function listUsers(asking: AskingIndex, json: boolean): Promise<string> {
  const users = (await readAccess(asking)).users.map(({ name, groups }) => ({ name, groups }));
  if (json) return JSON.stringify({ users });
  if (users.length === 0) return 'there are no users';
  return table([['user', 'groups'], ...users.map(({ name, groups }) => [name, groups.join(', ')])]);
}

/** Those of a file, over those that are there; lines that are wrong are named, and the others count. */
export async function importHtpasswd(
  asking: AskingIndex,
  { file, groups }: { readonly file: string; readonly groups: readonly string[] },
): Promise<{ readonly line: string; readonly problems: readonly string[] }> {
  heedNames(groups);
  const { users: found, problems } = htpasswdIn(await textOf(file));
  if (found.length > 0)
    await changeAccess(asking, ({ users }) => {
      const known = new Map(users.map((user) => [user.name, user]));
      for (const { name, password } of found) {
        const had = known.get(name)?.groups ?? [];
        known.set(name, { name, password, groups: [...new Set([...had, ...groups])] });
      }
      return { users: [...known.values()] };
    });
  return {
    line: `${found.length} user${found.length === 1 ? '' : 's'} of ${file} are taken`,
    problems: problems.map((problem) => `${file}, ${problem}: left out`),
  };
}

export async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new StartError(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

function heedNames(names: readonly string[]): void {
  const wrong = names.find((name) => !userNameValid(name));
  if (wrong !== undefined)
    throw new StartError(`'${wrong}' is no name: letters, digits, '.', '_', '@', '+' and '-', 64 at most`);
}

function heedNew(users: readonly AccessUser[], name: string): void {
  if (users.some((user) => user.name === name))
    throw new Failure(`there is a user ${name} already: shoal access user passwd, or groups, changes them`);
}

function heedKnown(users: readonly AccessUser[], name: string): void {
  if (!users.some((user) => user.name === name)) throw new Failure(`there is no user ${name}`);
}

function changed(users: readonly AccessUser[], name: string, change: (user: AccessUser) => AccessUser): AccessUser[] {
  heedKnown(users, name);
  return users.map((user) => (user.name === name ? change(user) : user));
}
