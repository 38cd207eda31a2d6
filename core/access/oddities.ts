/** What of users and rules is allowed, and probably not meant: a line each, for who writes them. */

import type { AccessDocument } from './documents.ts';
import type { AccessRule } from './rights.ts';

export function oddities({ users, rules }: Pick<AccessDocument, 'users' | 'rules'>): string[] {
  const names = new Set(users.map(({ name }) => `user:${name}`));
  const groups = new Set(users.flatMap((user) => user.groups.map((group) => `group:${group}`)));
  const none = rules.length === 0 ? ['there are no rules: nobody may do anything'] : [];
  return [...none, ...rules.flatMap((rule, i) => oddOf(rule, `rules[${i}]`, { names, groups })), ...idle(users, rules)];
}

type Known = { readonly names: ReadonlySet<string>; readonly groups: ReadonlySet<string> };

function oddOf({ who, may, repositories }: AccessRule, at: string, { names, groups }: Known): string[] {
  const missing = who.flatMap((one) => {
    // Users of other issuers have colons in their names, and are not listed here.
    const own = !one.slice(one.indexOf(':') + 1).includes(':');
    if (one.startsWith('user:') && own && !names.has(one)) return [`${at}: there is no ${one.replace(':', ' ')}`];
    if (one.startsWith('group:') && own && !groups.has(one)) return [`${at}: nobody is in ${one.replace(':', ' ')}`];
    return [];
  });
  const writes = may.filter((action) => action !== 'pull');
  const anybody =
    who.includes('anonymous') && writes.length > 0
      ? [`${at}: anybody may ${writes.join(' and ')} ${repositories.join(', ')} without saying who he is`]
      : [];
  const blind =
    may.includes('push') && !may.includes('pull')
      ? [`${at}: push without pull: clients look whether a layer is there before they push it`]
      : [];
  return [...missing, ...anybody, ...blind];
}

function idle(users: AccessDocument['users'], rules: readonly AccessRule[]): string[] {
  const granted = new Set(rules.flatMap(({ who }) => who));
  if (rules.length === 0 || granted.has('users') || granted.has('anonymous')) return [];
  return users
    .filter(({ name, groups }) => !granted.has(`user:${name}`) && !groups.some((one) => granted.has(`group:${one}`)))
    .map(({ name }) => `user ${name}: no rule is for them`);
}
