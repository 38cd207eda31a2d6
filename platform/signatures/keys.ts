/**
 * Public keys that signatures are tried with, from PEM or from files that may be renewed under the process.
 *
 * Rule 1: a file that cannot be used any more is told once, and the keys from before stay: nobody gets in, or is shut out, by it.
 * Rule 2: a key that is weak, private, or of a kind that cosign does not sign with is refused by name.
 */

import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { StartError } from '../lifecycle/errors.ts';

const rsaBitsMin = 2048;
const keyBytesMax = 16 * 1024;
/** Characters of a fingerprint that are told. */
const shownLength = 12;

export type TrustedKey = {
  /** In messages: where it is from, and the beginning of its fingerprint. */
  readonly name: string;
  readonly key: KeyObject;
  /** What its owner may have hashed a message by; null: the key's kind says it. */
  readonly hashes: readonly (string | null)[];
};

const isPem = (key: string): boolean => key.includes('-----BEGIN ');

/** Throws StartError, a line for each key that cannot be used. */
export function keysOf(given: readonly string[]): readonly TrustedKey[] {
  const problems: string[] = [];
  const keys = given.flatMap((one, i) => {
    const from = isPem(one) ? `key ${i + 1}` : basename(one);
    try {
      return [trusted(isPem(one) ? one : textOf(one), from)];
    } catch (error) {
      problems.push(`verify.cosign: ${isPem(one) ? from : one}: ${(error as Error).message}`);
      return [];
    }
  });
  if (problems.length > 0) throw new StartError(problems.join('\n'));
  return keys;
}

/** Looks at every key of a configuration. Throws StartError. */
export function checkKeys(rules: readonly { readonly keys: readonly string[] }[]): void {
  const problems = rules.flatMap(({ keys }) => {
    try {
      keysOf(keys);
      return [];
    } catch (error) {
      return [(error as Error).message];
    }
  });
  if (problems.length > 0) throw new StartError([...new Set(problems)].join('\n'));
}

/** What tells that a file is another one; '' of PEM. */
export function stateOfKeys(given: readonly string[]): string {
  const states = given.map((one) => {
    if (isPem(one)) return '';
    const found = statSync(one, { throwIfNoEntry: false, bigint: true });
    return found === undefined ? '-' : `${found.dev}:${found.ino}:${found.size}:${found.mtimeNs}:${found.ctimeNs}`;
  });
  return states.join(' ');
}

function textOf(file: string): string {
  try {
    if (statSync(file).size > keyBytesMax) throw new Error('is too large to be a public key');
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new Error(code === 'ENOENT' ? 'there is no such file' : `cannot be read (${code})`);
  }
}

function trusted(pem: string, from: string): TrustedKey {
  if (/-----BEGIN [A-Z ]*PRIVATE KEY/.test(pem)) throw new Error('is a private key: give the public one, cosign.pub');
  if (!/-----BEGIN (RSA )?PUBLIC KEY-----/.test(pem)) throw new Error('is no public key in PEM, as cosign.pub is one');
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    throw new Error('is damaged: OpenSSL reads no public key from it');
  }
  const hashes = hashesOf(key);
  const print = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex');
  return { name: `${from} (sha256:${print.slice(0, shownLength)})`, key, hashes };
}

/** cosign hashes by SHA-256 whatever the curve; others by what goes with it. */
function hashesOf(key: KeyObject): readonly (string | null)[] {
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'ed25519':
      return [null];
    case 'rsa':
      if (modulusLength < rsaBitsMin) throw new Error(`is weak: RSA of ${modulusLength} bits, at least ${rsaBitsMin}`);
      return ['sha256'];
    case 'ec': {
      const hashes = CURVES[namedCurve];
      if (hashes !== undefined) return hashes;
      throw new Error(`is of the curve ${namedCurve}: use P-256, P-384 or P-521`);
    }
    default:
      throw new Error(`is of the kind ${key.asymmetricKeyType}: use ECDSA, RSA or Ed25519`);
  }
}

const CURVES: Readonly<Record<string, readonly string[]>> = {
  prime256v1: ['sha256'],
  secp384r1: ['sha256', 'sha384'],
  secp521r1: ['sha256', 'sha512'],
};
