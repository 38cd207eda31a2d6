/**
 * Who somebody is by the claims of a token that was verified.
 *
 * Rule 1: a claim that is not as it should be makes nobody of its bearer: half of a name is none.
 * Rule 2: what begins with `system:` is not for issuers to give as a group. A service account of Kubernetes has the groups
 *         that Kubernetes itself gives it, which follow from its name.
 */

import type { OutsideIssuer } from './issuers.ts';
import type { Subject } from './rights.ts';

type Claims = Readonly<Record<string, unknown>>;

const nameLengthMax = 256;
/** As much as the head of a request carries in a token beside all else. */
const groupsMax = 200;
/** What of `system:` is ours, and Kubernetes'. */
export const reserved = 'system:';
const serviceAccount = /^system:serviceaccount:([a-z0-9.-]+):[a-z0-9.-]+$/;

/** Text: why it is nobody. */
export function subjectOfClaims({ claims: of, prefix }: OutsideIssuer, claims: Claims): Subject | string {
  const user = claimOf(claims, of.user);
  if (!nameValid(user) || !nameValid(prefix + user)) return `its claim '${of.user}' is no name`;
  if (of.user === 'email' && claims['email_verified'] === false) return 'its address of e-mail is not verified';
  const given = claimOf(claims, of.groups) ?? [];
  const groups = typeof given === 'string' ? [given] : given;
  if (!Array.isArray(groups) || !groups.every(nameValid)) return `its claim '${of.groups}' is no list of names`;
  if (groups.length > groupsMax) return `its claim '${of.groups}' names ${groups.length} groups, and may ${groupsMax}`;
  const named = groups.map((group) => prefix + group).filter((group) => !group.startsWith(reserved));
  return { name: prefix + user, groups: [...new Set([...named, ...groupsOf(user).map((group) => prefix + group)])] };
}

/** As Kubernetes has them. */
function groupsOf(user: string): string[] {
  const namespace = serviceAccount.exec(user)?.[1];
  return namespace === undefined ? [] : ['system:serviceaccounts', `system:serviceaccounts:${namespace}`];
}

/** By the whole name, else by its parts: `realm_access.roles`. */
function claimOf(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let at: unknown = claims;
  for (const part of name.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined;
    at = (at as Claims)[part];
  }
  return at;
}

/** Whether it may be a user's or a group's, of others. */
export function nameValid(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= nameLengthMax && !/\p{C}/u.test(value);
}
