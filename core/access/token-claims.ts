/**
 * What a token of ours says: who somebody is, and what it is for. The rights themselves are not in it: they are looked up
 * when it is shown, so that a rule that goes counts at once.
 *
 * Rule 1: a user of ours is in the groups that he is in now, whatever he was in when the token was made.
 * Rule 2: a token is for its cluster alone (`iss`, `aud`), and for one use: what refreshes opens nothing.
 */

import { listOf, oneOf, optional, type Parser, parse, record, text, whole } from '../contracts/parse.ts';
import { type ScopeAccess, scopesMax } from './scope.ts';

/** `users`: of the document; `elsewhere`: another issuer's, or of a certificate; `anybody`: who did not say who he is. */
export type TokenOwner = 'users' | 'elsewhere' | 'anybody';

export type TokenClaims = {
  readonly use: 'access' | 'refresh';
  readonly owner: TokenOwner;
  /** Empty of `anybody`. */
  readonly name: string;
  /** Of `elsewhere` only. */
  readonly groups: readonly string[];
  readonly access: readonly ScopeAccess[];
  readonly fromMs: number;
  readonly untilMs: number;
  /** Of what refreshes: which password it stands for. */
  readonly password: string | undefined;
};

/** Of whom, and for whom. */
export type TokenParties = { readonly issuer: string; readonly audience: string };

const nameMax = 256;
const groupsMax = 256;
const seconds = whole(253_402_300_799);

const scope: Parser<ScopeAccess> = record({
  type: text(32),
  name: text(256),
  actions: listOf(text(32), 8),
});

const parts = record({
  iss: text(512),
  aud: text(512),
  sub: text(nameMax),
  nbf: seconds,
  exp: seconds,
  use: oneOf('access', 'refresh'),
  owner: oneOf('users', 'elsewhere', 'anybody'),
  groups: optional(listOf(text(256), groupsMax)),
  access: optional(listOf(scope, scopesMax)),
  pw: optional(text(64)),
});

/** Of a payload whose signature is right; undefined: it is no token of ours. Whether its time is over is not looked at. */
export function tokenClaims(payload: unknown, { issuer, audience }: TokenParties): TokenClaims | undefined {
  const read = parse(parts, payload, 'the token');
  if (!read.ok) return undefined;
  const { iss, aud, sub, nbf, exp, use, owner, groups = [], access = [], pw } = read.value;
  if (iss !== issuer || aud !== audience || (sub === '') !== (owner === 'anybody')) return undefined;
  return { use, owner, name: sub, groups, access, fromMs: nbf * 1_000, untilMs: exp * 1_000, password: pw };
}

/** The payload, without what a signature is made of. */
export function tokenPayload(claims: TokenClaims, { issuer, audience }: TokenParties): Record<string, unknown> {
  const { use, owner, name, groups, access, fromMs, untilMs, password } = claims;
  const fromS = Math.floor(fromMs / 1_000);
  return {
    iss: issuer,
    aud: audience,
    sub: name,
    iat: fromS,
    nbf: fromS,
    exp: Math.ceil(untilMs / 1_000),
    use,
    owner,
    ...(groups.length > 0 && { groups }),
    access,
    ...(password !== undefined && { pw: password }),
  };
}
