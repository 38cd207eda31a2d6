/** What a certificate says, read by Node: whose it is, for which addresses, until when, how strong its key is. */

import { X509Certificate } from 'node:crypto';
import type { CertificateNames } from '../../core/access/certificate-users.ts';
import { type CallerIdentity, identityIn } from '../../core/access/identity.ts';

export type CertificateFacts = {
  /** Or why it names nobody. */
  readonly identity: CallerIdentity | string;
  /** All that it may call somebody. */
  readonly names: CertificateNames;
  /** Addresses and names of DNS. */
  readonly sans: readonly string[];
  readonly fromMs: number;
  readonly untilMs: number;
  /** `ECDSA P-256`, `RSA 2048`. */
  readonly key: string;
  /** What is too weak about it; undefined: nothing. */
  readonly weak: string | undefined;
  readonly authority: boolean;
  readonly issuer: string;
  readonly subject: string;
  readonly serial: string;
};

/** As NIST has it for what is to hold until 2030: SP 800-57, table 2. */
const rsaBitsMin = 2048;
/** P-256's: what an ECDSA key of 128 bits of strength has. */
const curves: Readonly<Record<string, string>> = {
  prime256v1: 'P-256',
  secp384r1: 'P-384',
  secp521r1: 'P-521',
};
/** Object identifiers of uses: RFC 5280, 4.2.1.12. */
const uses = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2', any: '2.5.29.37.0' } as const;

export function factsOf(certificate: X509Certificate): CertificateFacts {
  const names = alternativeNames(certificate.subjectAltName);
  const subject = subjectOf(certificate.subject);
  const ofKind = (kind: string): string[] => names.filter(([key]) => key === kind).map(([, value]) => value);
  const [uris, units, commonNames] = [ofKind('URI'), subject('OU'), subject('CN')];
  return {
    identity: identityIn({ uris, units, commonName: commonNames.at(-1) }),
    names: { commonNames, units, uris, emails: ofKind('email') },
    sans: [...ofKind('DNS'), ...ofKind('IP Address').map(plainAddress)],
    fromMs: Date.parse(certificate.validFrom),
    untilMs: Date.parse(certificate.validTo),
    ...strengthOf(certificate),
    authority: certificate.ca,
    issuer: oneLine(certificate.issuer),
    subject: oneLine(certificate.subject),
    serial: certificate.serialNumber,
  };
}

/** What it may not be used for, of what a component does with it; undefined: nothing. */
export function useLacking(certificate: X509Certificate): string | undefined {
  const stated: readonly string[] | undefined = certificate.keyUsage;
  if (stated === undefined || stated.length === 0 || stated.includes(uses.any)) return undefined;
  const lacking = [
    ...(stated.includes(uses.server) ? [] : ['server auth']),
    ...(stated.includes(uses.client) ? [] : ['client auth']),
  ];
  return lacking.length === 0 ? undefined : lacking.join(' and ');
}

/** Whether it may be shown to a server. */
export function isForClients(certificate: X509Certificate): boolean {
  const stated: readonly string[] = certificate.keyUsage ?? [];
  return stated.length === 0 || stated.includes(uses.any) || stated.includes(uses.client);
}

/** Every certificate of a PEM file, in its order. Throws where one cannot be read. */
export function certificatesIn(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

/** Every list of what is revoked, of one file: whoever checks takes them one by one. */
export function revocationListsIn(pem: string): string[] {
  return pem.match(/-----BEGIN X509 CRL-----[^-]*-----END X509 CRL-----/g) ?? [];
}

function strengthOf({ publicKey }: X509Certificate): Pick<CertificateFacts, 'key' | 'weak'> {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = publicKey;
  if (type === 'rsa' || type === 'rsa-pss') {
    const bits = details?.modulusLength ?? 0;
    const weak = bits < rsaBitsMin ? `an RSA key of ${bits} bits is weak: ${rsaBitsMin} at least` : undefined;
    return { key: `RSA ${bits}`, weak };
  }
  if (type === 'ec') {
    const curve = details?.namedCurve ?? '';
    const known = curves[curve];
    return {
      key: `ECDSA ${known ?? curve}`,
      weak: known === undefined ? `the curve ${curve} is weak, or not known` : undefined,
    };
  }
  if (type === 'ed25519' || type === 'ed448') return { key: type === 'ed448' ? 'Ed448' : 'Ed25519', weak: undefined };
  return { key: type ?? 'unknown', weak: `a key of type ${type} is not known here` };
}

/** `DNS:a, IP Address:::1, URI:spiffe://c/agent/a`; Node quotes, as JSON does, what has a comma or a quote in it. */
function alternativeNames(text: string | undefined): [kind: string, value: string][] {
  return [...(text ?? '').matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/g)].map(
    ([, kind = '', value = '']) => [kind, value.startsWith('"') ? unquoted(value) : value],
  );
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return '';
  }
}

/** Node writes IPv6 as eight groups in capitals. */
function plainAddress(address: string): string {
  return address.includes(':') ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
}

/** Values of a name's parts, which Node gives a line each; what it had to escape is none of ours. */
function subjectOf(text: string | undefined): (part: string) => string[] {
  const parts = (text ?? '').split('\n');
  return (part) => parts.filter((line) => line.startsWith(`${part}=`)).map((line) => line.slice(part.length + 1));
}

function oneLine(name: string): string {
  return name.split('\n').join(', ');
}
