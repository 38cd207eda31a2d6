/**
 * A cluster's own authority, as files below a directory: `ca.crt` is what everybody believes, the newest first, and
 * `ca.key` the key of that one. Below it a directory for each certificate that was issued.
 */

import { createPrivateKey, type X509Certificate } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { identityWordValid } from '../../core/access/identity.ts';
import { certificatesIn, factsOf } from '../../platform/certs/facts.ts';
import { FILES, filesIn, readIfThere, writeSecret } from '../../platform/certs/files.ts';
import type { KeyPair, Validity } from '../../platform/certs/make.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { makeDirs } from '../../platform/lifecycle/make-dirs.ts';
import { Failure } from '../failure.ts';

export const dayMs = 86_400_000;
/** Clocks of hosts differ, and a certificate is used as soon as it is there. */
const earlierMs = 3_600_000;
/** Authorities that one bundle holds: the one that signs, and those that are on their way out. */
const bundleMax = 8;

export type Authority = {
  readonly dir: string;
  readonly cluster: string;
  /** Of the one that signs. */
  readonly pair: KeyPair;
  /** What is believed, PEM. */
  readonly bundle: string;
  readonly untilMs: number;
};

export function validityFrom(nowMs: number, days: number): Validity {
  return { fromMs: nowMs - earlierMs, untilMs: nowMs + days * dayMs };
}

/** Throws StartError where there is an authority already: a second one would make strangers of all. */
export async function initAuthority(dir: string, cluster: string, validity: Validity): Promise<Authority> {
  if (!identityWordValid(cluster))
    throw new StartError(
      `"${cluster}" cannot stand in a certificate: letters, digits, '.', '_' and '-', 64 at most, and the same as \`cluster\` in the configuration`,
    );
  const at = join(dir, FILES.authorityKey);
  if (existsSync(at) || existsSync(join(dir, FILES.authority)))
    throw new StartError(`${dir} has an authority already: \`shoal certs issue\`, or \`shoal certs rotate --ca\``);
  const { makeAuthority } = await import('../../platform/certs/make.ts');
  makeDirs(dir);
  const pair = await makeAuthority(cluster, validity);
  writeSecret(at, pair.key);
  writeSecret(join(dir, FILES.authority), pair.certificate);
  return openAuthority(dir);
}

/** Throws StartError where there is none, or its key is not that of its certificate. */
export function openAuthority(dir: string): Authority {
  const [bundle, key] = [FILES.authority, FILES.authorityKey].map((file) => readIfThere(join(dir, file)));
  if (bundle === undefined || key === undefined)
    throw new StartError(`${dir} has no ca.crt with its ca.key: make them with \`shoal certs init --dir ${dir}\``);
  const [signing] = readBundle(join(dir, FILES.authority), bundle);
  if (signing?.checkPrivateKey(keyIn(join(dir, FILES.authorityKey), key)) !== true)
    throw new StartError(`${dir}: ca.key is not the key of the first certificate of ca.crt`);
  const cluster = /(?:^|\n)O=([^\n]*)/.exec(signing.subject)?.[1] ?? '';
  const pair = { certificate: signing.toString(), key };
  return { dir, cluster, pair, bundle, untilMs: factsOf(signing).untilMs };
}

/** One more authority, which signs from now on; the others stay believed until `forgetOld`. */
export async function renewAuthority({ dir, cluster, bundle }: Authority, validity: Validity): Promise<Authority> {
  if (certificatesIn(bundle).length >= bundleMax)
    throw new Failure(`${dir}/ca.crt holds ${bundleMax} authorities: first \`shoal certs rotate --forget-old\``);
  const { makeAuthority } = await import('../../platform/certs/make.ts');
  const pair = await makeAuthority(cluster, validity);
  // Who reads the two between these writes refuses them: a key that does not match is told, and nothing is signed.
  writeSecret(join(dir, FILES.authorityKey), pair.key);
  writeSecret(join(dir, FILES.authority), pair.certificate + bundle);
  return openAuthority(dir);
}

/** Only the authority that signs is believed any more. */
export function forgetOld({ dir, pair }: Authority): Authority {
  writeSecret(join(dir, FILES.authority), pair.certificate);
  return openAuthority(dir);
}

/** Directories below that of the authority with a certificate each. */
export function issuedIn(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(filesIn(join(dir, entry.name)).certificate))
    .map((entry) => join(dir, entry.name))
    .sort();
}

function readBundle(file: string, pem: string): X509Certificate[] {
  try {
    return certificatesIn(pem);
  } catch (error) {
    throw new StartError(`${file} cannot be read as certificates: ${(error as Error).message}`);
  }
}

function keyIn(file: string, pem: string) {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw new StartError(`${file} cannot be read as a key: ${(error as Error).message}`);
  }
}
