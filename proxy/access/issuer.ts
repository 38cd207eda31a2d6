/**
 * AccessTokens of this cluster, made: what a subject asked for and has a right to, for a few minutes; and, for who logs in, what
 * gets more of them without the password.
 *
 * Rule: what refreshes stands for one password of one user of ours: a new password, or none, ends it.
 */

import { createHash } from 'node:crypto';
import { SignJWT } from 'jose';
import type { AccessUser } from '../../core/access/documents.ts';
import type { AccessRule, Subject } from '../../core/access/rights.ts';
import { grantedOf, type ScopeAccess } from '../../core/access/scope.ts';
import { type TokenClaims, type TokenOwner, type TokenParties, tokenPayload } from '../../core/access/token-claims.ts';
import type { Signing } from './keys.ts';

/** A request's headers have 16 KB in all. Of what is beyond it a client asks for another token. */
const scopeCharactersMax = 6_000;

export type IssuerParts = TokenParties & {
  readonly signing: () => Promise<Signing>;
  readonly tokenMs: number;
  readonly refreshMs: number;
  readonly nowMs: () => number;
};

type Asking = { readonly subject: Subject; readonly owner: TokenOwner };
export type Issued = { readonly token: string; readonly claims: TokenClaims };

export class Issuer {
  readonly #parts: IssuerParts;

  constructor(parts: IssuerParts) {
    this.#parts = parts;
  }

  async access(
    { subject, owner }: Asking,
    scopes: readonly ScopeAccess[],
    rules: readonly AccessRule[],
  ): Promise<Issued> {
    const { nowMs, tokenMs } = this.#parts;
    const fromMs = nowMs();
    return await this.#signed({
      use: 'access',
      owner,
      name: subject.name ?? '',
      groups: owner === 'elsewhere' ? subject.groups : [],
      access: fitting(grantedOf(scopes, rules, subject)),
      fromMs,
      untilMs: fromMs + tokenMs,
      password: undefined,
    });
  }

  async refresh({ name, password }: AccessUser): Promise<string> {
    const { nowMs, refreshMs } = this.#parts;
    const fromMs = nowMs();
    const what = { use: 'refresh', owner: 'users', name, groups: [], access: [] } as const;
    const { token } = await this.#signed({
      ...what,
      fromMs,
      untilMs: fromMs + refreshMs,
      password: passwordMark(password),
    });
    return token;
  }

  async #signed(claims: TokenClaims): Promise<Issued> {
    const { kid, key } = await this.#parts.signing();
    const token = await new SignJWT(tokenPayload(claims, this.#parts))
      .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid })
      .sign(key);
    return { token, claims };
  }
}

/** Tells passwords apart, and tells nothing of them. */
export function passwordMark(hash: string): string {
  return createHash('sha256').update(`refresh ${hash}`).digest('base64url').slice(0, 22);
}

function fitting(granted: readonly ScopeAccess[]): ScopeAccess[] {
  let characters = 0;
  return granted.filter((one) => {
    characters += JSON.stringify(one).length;
    return characters <= scopeCharactersMax;
  });
}
