/**
 * What the index keeps of access, a document each: users and rules, which operators write; the keys that tokens are signed
 * with, which proxies make and only they read; and what agents are to know of both, which proxies derive.
 *
 * Rule 1: what agents read has neither a password's hash nor a private key in it.
 * Rule 2: a document that cannot be read as a whole is not used in part: the one from before stays (platform/clients).
 */

import {
  closed,
  listOf,
  Malformed,
  oneOf,
  optional,
  type Parser,
  record,
  text,
  textThat,
  whole,
} from '../contracts/parse.ts';
import { repositoryPatternValid } from '../oci/pattern.ts';
import { type CertificateUsers, certificateUsersParser } from './certificate-users.ts';
import { issuersParser, type OutsideIssuer } from './issuers.ts';
import { ACTIONS, type AccessRule } from './rights.ts';

/** A document has at most 1 MiB, and a user some 150 bytes. */
export const usersMax = 5_000;
export const rulesMax = 1_000;
const patternsMax = 200;
const groupsMax = 64;
/** Of one rotation a minute, with those that refresh tokens of a month are signed by. */
const keysMax = 100;
/** What a hash may cost to compare, as a power of two: at 14 it is a second or two. */
export const bcryptCostMax = 14;
const bcryptCostMin = 4;

const namePattern = /^[A-Za-z0-9](?:[A-Za-z0-9._@+-]{0,62}[A-Za-z0-9])?$/;
/** Names of others' users may have colons, slashes and spaces. */
const whoPattern = /^(?:anonymous|users|(?:user|group):[\x20-\x7e]{1,256})$/;
const bcryptPattern = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/;

export function userNameValid(name: string): boolean {
  return namePattern.test(name);
}

/** Why it is no hash that is taken; undefined: it is one. */
export function hashProblem(hash: string): string | undefined {
  const [, cost] = bcryptPattern.exec(hash) ?? [];
  if (cost === undefined) return 'is no bcrypt hash ($2y$, as `htpasswd -B` writes it)';
  if (Number(cost) < bcryptCostMin || Number(cost) > bcryptCostMax)
    return `has cost ${Number(cost)}: from ${bcryptCostMin} to ${bcryptCostMax} are taken`;
  return undefined;
}

export type AccessUser = { readonly name: string; readonly password: string; readonly groups: readonly string[] };
export type AccessDocument = {
  readonly users: readonly AccessUser[];
  readonly rules: readonly AccessRule[];
  /** Whose tokens are believed as well. */
  readonly issuers: readonly OutsideIssuer[];
  /** Absent: no certificate is a user. */
  readonly certificates?: CertificateUsers | undefined;
  /** How often another key was asked for. Proxies see to it. */
  readonly keyGeneration: number;
  /** With the last of those: nothing that older keys signed counts any more. */
  readonly forgetKeys: boolean;
};

export type PublicKeyJwk = {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
  readonly kid: string;
};
/** `fromMs`: it signs from then on. Without `d` a proxy has it in a file. */
export type SigningKey = PublicKeyJwk & { readonly d?: string | undefined; readonly fromMs: number };
export type AccessKeys = { readonly generation: number; readonly keys: readonly SigningKey[] };

/** What an agent knows of it. */
export type AccessPublic = {
  readonly users: readonly { readonly name: string; readonly groups: readonly string[] }[];
  readonly rules: readonly AccessRule[];
  readonly issuers: readonly OutsideIssuer[];
  readonly certificates?: CertificateUsers | undefined;
  readonly keys: readonly PublicKeyJwk[];
};

const userName = textThat(userNameValid, "is no name: letters, digits, '.', '_', '@', '+' and '-', 64 at most");
const group = textThat(userNameValid, "is no name of a group: letters, digits, '.', '_', '@', '+' and '-', 64 at most");
const groups = listOf(group, groupsMax);
const hash: Parser<string> = (value) => {
  const problem = typeof value === 'string' ? hashProblem(value) : 'is no text';
  if (problem !== undefined) throw new Malformed(problem);
  return value as string;
};

/** As a file of rules has it as well: what is not understood is refused. */
const rule: Parser<AccessRule> = closed({
  repositories: some(
    textThat(repositoryPatternValid, 'is no pattern of repositories, such as library/app, team-a/* or **'),
    patternsMax,
  ),
  who: some(
    textThat((who) => whoPattern.test(who), "is none of 'anonymous', 'users', 'user:NAME' and 'group:NAME'"),
    patternsMax,
  ),
  may: some(oneOf(...ACTIONS), ACTIONS.length),
});

function some<T>(of: Parser<T>, max: number): Parser<readonly T[]> {
  const list = listOf(of, max);
  return (value) => {
    const found = list(value);
    if (found.length === 0) throw new Malformed('is empty');
    return found;
  };
}

export const accessRules: Parser<readonly AccessRule[]> = listOf(rule, rulesMax);

const users = unique(listOf(record({ name: userName, password: hash, groups }), usersMax));

function unique<T extends { readonly name: string }>(of: Parser<readonly T[]>): Parser<readonly T[]> {
  return (value) => {
    const found = of(value);
    const seen = new Set<string>();
    for (const { name } of found) {
      if (seen.has(name)) throw new Malformed(`has ${name} twice`);
      seen.add(name);
    }
    return found;
  };
}

const documentParts = record({
  users: optional(users),
  rules: optional(accessRules),
  issuers: optional(issuersParser),
  certificates: optional(certificateUsersParser),
  keyGeneration: optional(whole(Number.MAX_SAFE_INTEGER)),
  forgetKeys: optional((value: unknown) => value === true),
});

/** What is left out is empty. */
export const accessDocument: Parser<AccessDocument> = (value) => {
  const { users: known = [], rules = [], issuers = [], certificates, ...keys } = documentParts(value);
  const { keyGeneration = 0, forgetKeys = false } = keys;
  return { users: known, rules, issuers, ...(certificates && { certificates }), keyGeneration, forgetKeys };
};

const coordinate = text(64, 40);
const jwk = { kty: oneOf('EC'), crv: oneOf('P-256'), x: coordinate, y: coordinate, kid: text(64, 1) } as const;

export const accessKeys: Parser<AccessKeys> = record({
  generation: whole(Number.MAX_SAFE_INTEGER),
  keys: listOf(record({ ...jwk, d: optional(coordinate), fromMs: whole(Number.MAX_SAFE_INTEGER) }), keysMax),
});

const publicParts = record({
  users: listOf(record({ name: userName, groups }), usersMax),
  rules: accessRules,
  issuers: optional(issuersParser),
  certificates: optional(certificateUsersParser),
  keys: listOf(record(jwk), keysMax),
});

export const accessPublic: Parser<AccessPublic> = (value) => {
  const { issuers = [], ...of } = publicParts(value);
  return { ...of, issuers };
};
