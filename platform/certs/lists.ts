/**
 * Lists of what authorities have revoked (CRLs), as they are read here: whose, until when, and what they name. OpenSSL goes by
 * them at each handshake; this is for connections that are up, and to say in time that a list ends.
 */

import type { X509Certificate } from 'node:crypto';
import { type Der, derIn, derTimeMs, nameKey, TAG } from './der.ts';

export type RevocationList = {
  /** The authority's name, as `CertificateIds` have it. */
  readonly issuer: string;
  readonly fromMs: number;
  /** When there should be another one; undefined: it does not say. */
  readonly untilMs: number | undefined;
  /** `CertificateIds.id` of each. */
  readonly revoked: readonly string[];
};

/** What tells a certificate from all others, and by whom it is. */
export type CertificateIds = { readonly id: string; readonly issuer: string; readonly subject: string };

/** Throws where it cannot be read. */
export function revocationListOf(pem: string): RevocationList {
  const [list] = derIn(Buffer.from(pem.replace(/-----[^-]*-----/g, ''), 'base64'));
  const parts = insideOf(insideOf(list)[0]);
  // Its version, where it says one, and the algorithm come before.
  const [issuer, from, ...rest] = parts.slice(parts[0]?.tag === TAG.integer ? 2 : 1);
  if (issuer === undefined || from === undefined) throw new Error('it is no list (X509 CRL)');
  const until = isTime(rest[0]) ? rest.shift() : undefined;
  const entries = rest[0]?.tag === TAG.sequence ? derIn(rest[0].body) : [];
  const by = nameKey(issuer);
  return {
    issuer: by,
    fromMs: derTimeMs(from),
    untilMs: until && derTimeMs(until),
    revoked: entries.map((entry) => idOf(by, insideOf(entry)[0])),
  };
}

export function certificateIdsOf({ raw }: X509Certificate): CertificateIds {
  const parts = insideOf(insideOf(derIn(raw)[0])[0]);
  const [serial, , issuer, , subject] = parts.slice(parts[0]?.tag === TAG.integer ? 0 : 1);
  if (issuer === undefined || subject === undefined) throw new Error('it is no certificate');
  const by = nameKey(issuer);
  return { id: idOf(by, serial), issuer: by, subject: nameKey(subject) };
}

function idOf(issuer: string, serial: Der | undefined): string {
  if (serial?.tag !== TAG.integer) throw new Error('a serial number in it is none');
  return `${serial.body.toString('hex')} ${issuer}`;
}

function insideOf(element: Der | undefined): Der[] {
  if (element?.tag !== TAG.sequence) throw new Error('it has not the form of one');
  return derIn(element.body);
}

function isTime(element: Der | undefined): boolean {
  return element?.tag === TAG.utcTime || element?.tag === TAG.generalizedTime;
}
