/**
 * The key that tokens are signed with: one that the first proxy makes and all share, or one of a file.
 *
 * Rule: a private key that is shared lies in a document that only proxies read, and one of a file is in nobody else's hands.
 */

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { importJWK } from 'jose';
import type { AccessKeys, PublicKeyJwk } from '../../core/access/documents.ts';
import { type KeyToAdd, signingKey } from '../../core/access/keys.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import type { Followed } from '../../platform/clients/followed.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';

export type Signing = { readonly kid: string; readonly key: Awaited<ReturnType<typeof importJWK>> };
type Private = { readonly jwk: PublicKeyJwk; readonly d: string };

/** Of a file, in PEM. Throws StartError. */
export function keyOfFile(file: string): Private {
  try {
    return partsOf(createPrivateKey(readFileSync(file)));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file' : message;
    throw new StartError(`access.key: ${file}: no EC key (P-256) in PEM: ${why}`);
  }
}

/** A new one, for the document. */
export function drawKey(): KeyToAdd {
  const { jwk, d } = partsOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey);
  return { ...jwk, d };
}

function partsOf(key: KeyObject): Private {
  const { kty, crv, x = '', y = '' } = createPublicKey(key).export({ format: 'jwk' });
  const { d = '' } = key.export({ format: 'jwk' });
  if (kty !== 'EC' || crv !== 'P-256') throw new Error(`it is ${kty} ${crv ?? ''}`.trim());
  const kid = createHash('sha256').update(`${x}.${y}`).digest('base64url').slice(0, 16);
  return { jwk: { kty, crv, x, y, kid }, d };
}

export class SigningKeys {
  readonly #keys: Followed<AccessKeys>;
  readonly #own: Private | undefined;
  readonly #nowMs: () => number;
  #ready: Signing | undefined;

  constructor(keys: Followed<AccessKeys>, own: Private | undefined, nowMs: () => number) {
    this.#keys = keys;
    this.#own = own;
    this.#nowMs = nowMs;
  }

  /** Throws UNAVAILABLE. */
  readonly signing = async (): Promise<Signing> => {
    const found = this.#own ?? this.#shared();
    if (found === undefined)
      throw new ApiError('UNAVAILABLE', 'there is no key yet to sign tokens with, since the index is not reached');
    const { jwk, d } = found;
    if (this.#ready?.kid !== jwk.kid) this.#ready = { kid: jwk.kid, key: await importJWK({ ...jwk, d }, 'ES256') };
    return this.#ready;
  };

  /** Whose signatures count here. */
  readonly known = (): readonly PublicKeyJwk[] => {
    const shared = this.#keys.value()?.keys ?? [];
    return this.#own === undefined ? shared : [this.#own.jwk, ...shared];
  };

  #shared(): Private | undefined {
    const keys = this.#keys.value();
    const found = keys && signingKey(keys, this.#nowMs());
    if (found?.d === undefined) return undefined;
    const { kty, crv, x, y, kid, d } = found;
    return { jwk: { kty, crv, x, y, kid }, d };
  }
}
