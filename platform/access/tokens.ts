/**
 * AccessTokens of ours, read: the signature by a key that is known now, and what they say. No password is needed for that, nor
 * anybody's answer.
 *
 * Rule 1: ES256 and nothing else, by a key that the token only names.
 * Rule 2: a key that is not known yet may be a moment away: so many wait for it, and for so long.
 * Rule 3: a token that was right is remembered, by its hash: a pull is hundreds of requests. What it opens is asked anew.
 */

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CompactVerifyGetKey, compactVerify, decodeJwt, decodeProtectedHeader, errors, importJWK } from 'jose';
import type { PublicKeyJwk } from '../../core/access/documents.ts';
import { type TokenClaims, type TokenParties, tokenClaims } from '../../core/access/token-claims.ts';

/** Followers hear of a change within a second or two. */
const keyWaitMs = 3_000;
const keyLookMs = 100;
const keyWaitersMax = 64;
/** Some 5 MB. */
const rememberedMax = 5_000;

type Key = Awaited<ReturnType<typeof importJWK>>;

export type TokensParts = TokenParties & {
  /** Those that count now. */
  readonly keys: () => readonly PublicKeyJwk[];
};

export class AccessTokens {
  readonly #parts: TokensParts;
  readonly #imported = new Map<string, { readonly x: string; readonly key: Key }>();
  /** With the key that it was signed by: once that is gone, the token is. */
  readonly #right = new Map<string, { readonly kid: string; readonly claims: TokenClaims }>();
  #waiting = 0;

  constructor(parts: TokensParts) {
    this.#parts = parts;
  }

  /** What it says; undefined: it is none of ours. Its time is not looked at. */
  async read(token: string): Promise<TokenClaims | undefined> {
    const mark = createHash('sha256').update(token).digest('base64');
    const known = this.#right.get(mark);
    if (known !== undefined && this.#keyOf(known.kid) !== undefined) return known.claims;
    this.#right.delete(mark);
    const kid = kidIn(token, this.#parts.issuer);
    if (kid === undefined) return undefined;
    const jwk = this.#keyOf(kid) ?? (await this.#keySoon(kid));
    if (jwk === undefined) return undefined;
    const claims = await this.#verified(token, jwk);
    if (claims !== undefined) this.#remember(mark, { kid, claims });
    return claims;
  }

  async #verified(token: string, jwk: PublicKeyJwk): Promise<TokenClaims | undefined> {
    const key: CompactVerifyGetKey = () => this.#import(jwk);
    try {
      const { payload } = await compactVerify(token, key, { algorithms: ['ES256'] });
      return tokenClaims(JSON.parse(Buffer.from(payload).toString('utf8')), this.#parts);
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  #keyOf(kid: string): PublicKeyJwk | undefined {
    return this.#parts.keys().find((key) => key.kid === kid);
  }

  async #keySoon(kid: string): Promise<PublicKeyJwk | undefined> {
    if (this.#waiting >= keyWaitersMax) return undefined;
    this.#waiting++;
    try {
      for (let ms = 0; ms < keyWaitMs; ms += keyLookMs) {
        await sleep(keyLookMs);
        const found = this.#keyOf(kid);
        if (found !== undefined) return found;
      }
      return undefined;
    } finally {
      this.#waiting--;
    }
  }

  async #import(jwk: PublicKeyJwk): Promise<Key> {
    const before = this.#imported.get(jwk.kid);
    if (before?.x === jwk.x) return before.key;
    const { kty, crv, x, y } = jwk;
    const key = await importJWK({ kty, crv, x, y }, 'ES256');
    if (this.#imported.size > this.#parts.keys().length) this.#imported.clear();
    this.#imported.set(jwk.kid, { x, key });
    return key;
  }

  #remember(mark: string, right: { readonly kid: string; readonly claims: TokenClaims }): void {
    this.#right.set(mark, right);
    if (this.#right.size > rememberedMax) this.#right.delete(this.#right.keys().next().value as string);
  }
}

/** Of a token that may be one of ours: for another issuer's nobody waits here. */
function kidIn(token: string, issuer: string): string | undefined {
  try {
    const { alg, kid } = decodeProtectedHeader(token);
    return alg === 'ES256' && decodeJwt(token).iss === issuer ? kid : undefined;
  } catch {
    return undefined;
  }
}

/** Of all tokens of a cluster. */
export function tokenIssuer(cluster: string): string {
  return `shoal:${cluster}`;
}
