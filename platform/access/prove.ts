/**
 * Who somebody is, by what he shows: a name and a password, a token, a certificate. One interface, a prover a way.
 *
 * Rule 1: a prover says who it is, or nothing: that it does not know such proofs and that this one is wrong are the same to
 *         whoever asks, and so to whoever guesses.
 * Rule 2: the first that knows it counts.
 */

import type { X509Certificate } from 'node:crypto';
import type { Subject } from '../../core/access/rights.ts';

export type AccessProof =
  | { readonly kind: 'basic'; readonly name: string; readonly password: string }
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'certificate'; readonly certificate: X509Certificate };

/** Where it was shown: the client's address (http/call.ts). */
export type ProofFrom = { readonly address: string };

/** undefined: not of this kind, or wrong. `slow-down`: not looked at, since too many were wrong before it. */
export type Prover = (proof: AccessProof, from: ProofFrom) => Promise<Subject | undefined | 'slow-down'>;

/** Tokens of others may be shown as passwords. What is longer is nobody's. */
const passwordBytesMax = 12 * 1_024;
const headerCharactersMax = 16_384;

/** What a request's `Authorization` shows; `malformed`: nothing that can be read. */
export function proofIn(authorization: string | undefined): AccessProof | 'malformed' | undefined {
  if (authorization === undefined) return undefined;
  if (authorization.length > headerCharactersMax) return 'malformed';
  const [, scheme = '', value = ''] = /^([A-Za-z]+) +([A-Za-z0-9._~+/=-]+) *$/.exec(authorization) ?? [];
  switch (scheme.toLowerCase()) {
    case 'basic':
      return basicIn(value);
    case 'bearer':
      return { kind: 'bearer', token: value };
    default:
      return 'malformed';
  }
}

function basicIn(value: string): AccessProof | 'malformed' {
  const text = Buffer.from(value, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  const password = text.slice(colon + 1);
  if (colon < 0 || Buffer.byteLength(password) > passwordBytesMax) return 'malformed';
  return { kind: 'basic', name: text.slice(0, colon), password };
}

/** Whom the first prover that knows the proof says it is of. */
export function firstOf(provers: readonly Prover[]): Prover {
  return async (proof, from) => {
    for (const prove of provers) {
      const found = await prove(proof, from);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}
