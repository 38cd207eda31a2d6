/**
 * Makes the certificates of a cluster that has no other authority: ECDSA P-256, the role as a SPIFFE URI and as an OU.
 * Loaded by `shoal certs` and `shoal up --secure` only.
 *
 * Rule: who holds the authority's key may be anybody. It is on no host but the one where certificates are issued.
 */

// The library looks for it as soon as it is loaded.
import 'reflect-metadata';
import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, type webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
  X509Crl,
  X509CrlGenerator,
  X509CrlReason,
} from '@peculiar/x509';
import { type CallerIdentity, identityUri } from '../../core/access/identity.ts';
import { revocationListsIn } from './facts.ts';

/** Both PEM. */
export type KeyPair = { readonly certificate: string; readonly key: string };
/** From when until when, by the clock on the wall. */
export type Validity = { readonly fromMs: number; readonly untilMs: number };
export type Wanted = Validity & {
  readonly identity: CallerIdentity & { readonly cluster: string };
  /** Addresses and names of DNS. */
  readonly sans: readonly string[];
};

const ecdsa = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const signing = { name: 'ECDSA', hash: 'SHA-256' } as const;

export async function makeAuthority(cluster: string, validity: Validity): Promise<KeyPair> {
  const { publicKey, privateKey } = drawKey();
  const keys = { publicKey: forVerifying(publicKey), privateKey: forSigning(privateKey) };
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...common(validity),
    name: [{ O: [cluster] }, { CN: [`shoal ${cluster} ${randomBytes(4).toString('hex')}`] }],
    keys,
    extensions: [
      // It signs certificates of hosts, and no further authority.
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pemOf(certificate), key: keyPem(privateKey) };
}

/** A certificate with a key of its own. */
export async function issueCertificate(authority: KeyPair, wanted: Wanted): Promise<KeyPair> {
  const { publicKey, privateKey } = drawKey();
  const certificate = await certify(authority, wanted, publicKey);
  return { certificate, key: keyPem(privateKey) };
}

/** A certificate for a key that somebody has. PEM. */
async function certify(authority: KeyPair, { identity, sans, ...validity }: Wanted, key: KeyObject): Promise<string> {
  const issuer = new X509Certificate(authority.certificate);
  const publicKey = forVerifying(key);
  const extensions: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
    new SubjectAlternativeNameExtension([
      { type: 'url', value: identityUri(identity) },
      ...sans.map((san) => ({ type: isIP(san) === 0 ? ('dns' as const) : ('ip' as const), value: san })),
    ]),
    await SubjectKeyIdentifierExtension.create(publicKey),
    await AuthorityKeyIdentifierExtension.create(issuer),
  ];
  const certificate = await X509CertificateGenerator.create({
    ...common(validity),
    subject: [{ O: [identity.cluster] }, { OU: [identity.role] }, { CN: [identity.name] }],
    issuer: issuer.subject,
    signingKey: forSigning(createPrivateKey(authority.key)),
    publicKey,
    extensions,
  });
  return pemOf(certificate);
}

/**
 * The lists of what is revoked, PEM: this authority's, in front of those that others made. `before`: the lists until now,
 * and what they name stays revoked.
 */
export async function revocationLists(
  authority: KeyPair,
  serials: readonly string[],
  { before = '', fromMs, untilMs }: Validity & { readonly before?: string | undefined },
): Promise<string> {
  const issuer = new X509Certificate(authority.certificate);
  const lists = revocationListsIn(before).map((pem) => ({ pem, crl: new X509Crl(forLibrary(pem)) }));
  const [own, others] = [true, false].map((ours) =>
    lists.filter(({ crl }) => (crl.issuer === issuer.subject) === ours),
  );
  const known = (own ?? []).flatMap(({ crl }) => crl.entries);
  const dates = new Map(known.map((entry) => [entry.serialNumber.toLowerCase(), entry.revocationDate]));
  for (const serial of serials.map((one) => one.toLowerCase()))
    if (!dates.has(serial)) dates.set(serial, new Date(fromMs));
  const crl = await X509CrlGenerator.create({
    issuer: issuer.subject,
    thisUpdate: new Date(fromMs),
    nextUpdate: new Date(untilMs),
    signingAlgorithm: signing,
    signingKey: forSigning(createPrivateKey(authority.key)),
    entries: [...dates].map(([serialNumber, revocationDate]) => ({
      ...{ serialNumber, revocationDate },
      reason: X509CrlReason.unspecified,
    })),
    extensions: [await AuthorityKeyIdentifierExtension.create(issuer)],
  });
  return [forOpenSsl(crl.toString('pem')), ...(others ?? []).map(({ pem }) => pem)].join('\n').concat('\n');
}

/** Serial numbers that lists (PEM) name, in small letters. */
export function revokedSerials(pem: string): ReadonlySet<string> {
  const lists = revocationListsIn(pem).map((one) => new X509Crl(forLibrary(one)));
  return new Set(lists.flatMap(({ entries }) => entries.map(({ serialNumber }) => serialNumber.toLowerCase())));
}

/** The library says CRL in a PEM's first and last line, OpenSSL X509 CRL (RFC 7468, section 6). */
function forOpenSsl(pem: string): string {
  return pem.replaceAll(' CRL-----', ' X509 CRL-----');
}

function forLibrary(pem: string): string {
  return pem.replaceAll(' X509 CRL-----', ' CRL-----');
}

/** Positive, and of 128 random bits, of which RFC 5280 and the CA/Browser forum ask for 64. */
function common({ fromMs, untilMs }: Validity) {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] as number) & 0x7f) | 0x40;
  return {
    serialNumber: serial.toString('hex'),
    notBefore: new Date(fromMs),
    notAfter: new Date(untilMs),
    signingAlgorithm: signing,
  };
}

function drawKey(): { publicKey: KeyObject; privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

function forSigning(key: KeyObject): webcrypto.CryptoKey {
  return key.toCryptoKey(ecdsa, false, ['sign']);
}

function forVerifying(key: KeyObject): webcrypto.CryptoKey {
  return key.toCryptoKey(ecdsa, true, ['verify']);
}

function keyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }) as string;
}

function pemOf(certificate: X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}
