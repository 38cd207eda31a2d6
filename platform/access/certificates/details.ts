/** What Node does not tell of certificates, and all of lists of what is revoked. Loaded where certificates are users only. */

// The library looks for it as soon as it is loaded.
import 'reflect-metadata';
import type { X509Certificate } from 'node:crypto';
import { KeyUsageFlags, KeyUsagesExtension, X509Certificate as Parsed, X509Crl } from '@peculiar/x509';
import { revocationListsIn } from '../../certs/facts.ts';

/** Extensions that we understand, or that another check has looked at (RFC 5280, 4.2.1). */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  '2.5.29.15', // key usage
  '2.5.29.17', // alternative names
  '2.5.29.19', // basic constraints
  '2.5.29.32', // policies: any
  '2.5.29.37', // extended key usage
]);
const WEAK_HASHES: ReadonlySet<string> = new Set(['SHA-1', 'MD5']);

/** Why what its authority says of it cannot be taken; undefined: it can. */
export function detailProblem(certificate: X509Certificate): string | undefined {
  const parsed = new Parsed(certificate.raw);
  const unknown = parsed.extensions.find(({ critical, type }) => critical && !UNDERSTOOD.has(type));
  if (unknown !== undefined) return `it has the critical extension ${unknown.type}, which is not known here`;
  const hash = parsed.signatureAlgorithm.hash?.name ?? '';
  if (WEAK_HASHES.has(hash)) return `its signature is by ${hash}, which is weak`;
  const uses = parsed.getExtension(KeyUsagesExtension);
  const signs = KeyUsageFlags.digitalSignature | KeyUsageFlags.keyAgreement;
  return uses !== null && (uses.usages & signs) === 0 ? 'its key is not for signatures' : undefined;
}

export type Revoked = {
  readonly serials: ReadonlySet<string>;
  /** By then there is to be another list. */
  readonly untilMs: number;
};

/** Of each authority its list; or lines of what is wrong with them. */
export async function revokedBy(
  authorities: readonly X509Certificate[],
  pem: string,
): Promise<Map<X509Certificate, Revoked> | readonly string[]> {
  const lists = revocationListsIn(pem).map((one) => new X509Crl(one.replaceAll(' X509 CRL-----', ' CRL-----')));
  const found = new Map<X509Certificate, Revoked>();
  const problems: string[] = [];
  for (const authority of authorities) {
    const parsed = new Parsed(authority.raw);
    const name = authority.subject.split('\n').join(', ');
    const own = lists.filter(({ issuer }) => issuer === parsed.subject);
    const right = await signedOf(own, parsed);
    // A part of one is told by an extension that may not be passed over.
    const whole = right.filter(({ extensions }) => !extensions.some(({ critical }) => critical));
    const list = whole.reduce<X509Crl | undefined>(
      (last, one) => (last && last.thisUpdate >= one.thisUpdate ? last : one),
      undefined,
    );
    if (list === undefined)
      problems.push(`crl: has no list of ${name}${own.length > 0 ? ' that is whole, and signed by it' : ''}`);
    else
      found.set(authority, {
        serials: new Set(list.entries.map(({ serialNumber }) => plainSerial(serialNumber))),
        untilMs: list.nextUpdate?.getTime() ?? Number.POSITIVE_INFINITY,
      });
  }
  return problems.length > 0 ? problems : found;
}

async function signedOf(lists: readonly X509Crl[], authority: Parsed): Promise<X509Crl[]> {
  const right = await Promise.all(lists.map((list) => list.verify({ publicKey: authority })));
  return lists.filter((_, i) => right[i]);
}

/** As a number is written: without zeros in front. */
export function plainSerial(hex: string): string {
  return hex.toLowerCase().replace(/^0+(?=.)/, '');
}
