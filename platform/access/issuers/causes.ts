/** Why a token of another issuer was refused: a cause, for counting, and words for whoever looks after the log. */

import { leewaySeconds } from './limits.ts';

export type Cause =
  | 'algorithm'
  | 'audience'
  | 'claims'
  | 'expired'
  | 'key'
  | 'keys'
  | 'malformed'
  | 'not yet'
  | 'signature';
export type TokenRefusal = { readonly cause: Cause; readonly why: string };

/** Codes of the library that verifies. */
const CODES: Readonly<Record<string, readonly [Cause, why: string]>> = {
  ERR_JOSE_ALG_NOT_ALLOWED: ['algorithm', 'its algorithm is none that is taken'],
  ERR_JWKS_NO_MATCHING_KEY: ['key', 'the key that it names is none of its issuer, or not for its algorithm'],
  ERR_JWKS_MULTIPLE_MATCHING_KEYS: ['key', 'it names no key, and its issuer has several'],
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: ['signature', 'its signature is not right'],
};

type Thrown = {
  readonly code?: string;
  readonly claim?: string;
  readonly message?: string;
  readonly payload?: Readonly<Record<string, unknown>>;
};

/** `nowMs`: by this host's clock. */
export function tokenRefusalOf(error: unknown, nowMs: number): TokenRefusal {
  const { code = '', claim, message = '', payload = {} } = error as Thrown;
  const known = CODES[code];
  if (known !== undefined) return { cause: known[0], why: known[1] };
  if (code === 'ERR_JWT_EXPIRED') return { cause: 'expired', why: `it expired ${ago(payload['exp'], nowMs)}` };
  if (code === 'ERR_JWT_CLAIM_VALIDATION_FAILED') {
    if (claim === 'aud') return { cause: 'audience', why: `it is for ${text(payload['aud'])}` };
    if (claim === 'nbf') return { cause: 'not yet', why: `it is valid ${ahead(payload['nbf'], nowMs)}` };
    return { cause: 'claims', why: message };
  }
  if (code.startsWith('ERR_J')) return { cause: 'malformed', why: message };
  // A key of the issuer's that cannot be used, as a weak one.
  if (error instanceof TypeError || code.startsWith('ERR_')) return { cause: 'key', why: message };
  throw error;
}

function ago(at: unknown, nowMs: number): string {
  const seconds = Math.round(nowMs / 1_000 - Number(at));
  return `${seconds} s ago by this host's clock, of which ${leewaySeconds} s are let pass`;
}

function ahead(at: unknown, nowMs: number): string {
  const seconds = Math.round(Number(at) - nowMs / 1_000);
  return `only in ${seconds} s by this host's clock: which of the two clocks is right?`;
}

function text(value: unknown): string {
  return JSON.stringify(value ?? 'nobody').slice(0, 200);
}
