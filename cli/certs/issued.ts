/** Certificates of one authority: issued into a directory of their own, issued again with the same words, and revoked. */

import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { basename, join } from 'node:path';
import { type CallerIdentity, type CallerRole, identityText, identityWordValid } from '../../core/access/identity.ts';
import { type CertificateFacts, certificatesIn, factsOf } from '../../platform/certs/facts.ts';
import { FILES, filesIn, readIfThere, writeSecret } from '../../platform/certs/files.ts';
import type { Validity } from '../../platform/certs/make.ts';
import { StartError } from '../../platform/lifecycle/errors.ts';
import { makeDirs } from '../../platform/lifecycle/make-dirs.ts';
import { Failure } from '../failure.ts';
import { type Authority, issuedIn } from './authority.ts';

/** As RFC 1123 has host names, a wildcard as the first part. */
const dnsPattern = /^(?:\*\.)?[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*$/;
const dnsCharsMax = 253;

export type IssueWanted = {
  readonly role: CallerRole;
  readonly name: string;
  readonly sans: readonly string[];
  readonly validity: Validity;
  /** Where to; default: a directory of its name below that of the authority. */
  readonly out?: string | undefined;
};

export function sanValid(san: string): boolean {
  return isIP(san) !== 0 || (san.length <= dnsCharsMax && dnsPattern.test(san));
}

/** The directory that it lies in now. Throws StartError where there is one already. */
export async function issue(authority: Authority, { role, name, sans, validity, out }: IssueWanted): Promise<string> {
  if (!identityWordValid(name))
    throw new StartError(`"${name}" cannot stand in a certificate: letters, digits, '.', '_' and '-', 64 at most`);
  const dir = out ?? join(authority.dir, name);
  if (existsSync(filesIn(dir).certificate))
    throw new StartError(
      `${dir} has a certificate already: \`shoal certs rotate ${dir}\`, or choose another with --out`,
    );
  const identity = { cluster: authority.cluster, role, name };
  return await write(authority, dir, { identity, sans, ...validity });
}

/** With a new key, of the same identity and for the same addresses. */
export async function reissue(authority: Authority, dir: string, validity: Validity): Promise<string> {
  const facts = issuedAt(dir);
  const { cluster = authority.cluster, ...who } = identityOf(facts, dir);
  return await write(authority, dir, { identity: { cluster, ...who }, sans: facts.sans, ...validity });
}

type Written = Validity & {
  readonly identity: CallerIdentity & { readonly cluster: string };
  readonly sans: readonly string[];
};

async function write(authority: Authority, dir: string, { untilMs, ...wanted }: Written): Promise<string> {
  const { issueCertificate } = await import('../../platform/certs/make.ts');
  // Nobody believes it for longer than the authority.
  const until = Math.min(untilMs, authority.untilMs);
  if (until <= wanted.fromMs)
    throw new Failure(`the authority in ${authority.dir} has expired: \`shoal certs rotate --ca\``);
  const made = await issueCertificate(authority.pair, { ...wanted, untilMs: until });
  const files = filesIn(dir);
  makeDirs(dir);
  writeSecret(files.key, made.key);
  writeSecret(files.certificate, made.certificate);
  writeSecret(files.ca, authority.bundle);
  return dir;
}

/** Brings what the authority says now to each: whom to believe, and what is revoked. */
export function spread(authority: Authority, dirs: readonly string[]): void {
  const revoked = readIfThere(join(authority.dir, FILES.revoked));
  for (const dir of dirs) {
    writeSecret(filesIn(dir).ca, authority.bundle);
    if (revoked !== undefined) writeSecret(join(dir, FILES.revoked), revoked);
  }
}

/** From now on nobody who reads the list takes these. Returns who they are. */
export async function revoke(authority: Authority, dirs: readonly string[], validity: Validity): Promise<string[]> {
  const facts = dirs.map((dir) => ({ dir, ...issuedAt(dir) }));
  const [signing] = certificatesIn(authority.pair.certificate);
  for (const { dir, issuer } of facts)
    if (issuer !== signing?.subject.split('\n').join(', '))
      throw new Failure(
        `${dir} is of an authority whose key is not here: \`shoal certs rotate --forget-old\` ends what that one issued`,
      );
  const serials = facts.map(({ serial }) => serial);
  await listRevoked(authority, serials, validity);
  spread(authority, issuedIn(authority.dir));
  return facts.map((one) => identityText(identityOf(one, one.dir)));
}

/** The list of an authority that signs is needed, be it empty, as soon as there is any. */
export async function listRevoked(authority: Authority, serials: readonly string[], validity: Validity): Promise<void> {
  const { revocationLists } = await import('../../platform/certs/make.ts');
  const file = join(authority.dir, FILES.revoked);
  const untilMs = Math.max(validity.untilMs, authority.untilMs);
  const how = { ...validity, untilMs, before: readIfThere(file) };
  writeSecret(file, await revocationLists(authority.pair, serials, how));
}

/** Of these, those that were not revoked: a new one would let in whom somebody has shut out. */
export async function unrevoked({ dir }: Authority, dirs: readonly string[]): Promise<string[]> {
  const lists = readIfThere(join(dir, FILES.revoked));
  if (lists === undefined) return [...dirs];
  const { revokedSerials } = await import('../../platform/certs/make.ts');
  const revoked = revokedSerials(lists);
  return dirs.filter((one) => !revoked.has(issuedAt(one).serial.toLowerCase()));
}

export function hasRevoked({ dir }: Authority): boolean {
  return existsSync(join(dir, FILES.revoked));
}

export function issuedUntilMs(dir: string): number {
  return issuedAt(dir).untilMs;
}

function issuedAt(dir: string): CertificateFacts {
  const { certificate } = filesIn(dir);
  const pem = readIfThere(certificate);
  if (pem === undefined) throw new StartError(`there is no ${certificate}`);
  const [first] = certificatesIn(pem);
  if (first === undefined) throw new StartError(`${certificate} holds no certificate`);
  return factsOf(first);
}

function identityOf({ identity }: CertificateFacts, dir: string): CallerIdentity {
  if (typeof identity === 'string') throw new StartError(`${join(basename(dir), 'tls.crt')}: ${identity}`);
  return identity;
}
