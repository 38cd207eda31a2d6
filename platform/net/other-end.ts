/**
 * The certificate at the other end of a TLS connection, and those above it. Where a session was taken up again none was shown:
 * who dialled goes by the one of the handshake that the session began with, and who was dialled finds it in the ticket.
 */

import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { type CertificateIds, certificateIdsOf } from '../certs/lists.ts';

export type OtherEnd = {
  readonly certificate: X509Certificate;
  /** Its own first; those above it as far as they were shown. */
  readonly chain: readonly CertificateIds[];
};

/** More certificates nobody needs between its own and an authority. */
const chainMax = 10;

const known = new WeakMap<TLSSocket, OtherEnd>();

/** undefined: it showed none. Read once: of who dialled, Node tells it the first time only. */
export function otherEndOf(socket: TLSSocket): OtherEnd | undefined {
  const before = known.get(socket);
  if (before !== undefined) return before;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  const found = { certificate, chain: readable(certificate) };
  known.set(socket, found);
  return found;
}

/** What whoever called has shown; of a connection without TLS nothing. */
export function shownAt(socket: Socket): X509Certificate | undefined {
  return isTls(socket) ? otherEndOf(socket)?.certificate : undefined;
}

export function isTls(socket: Socket): socket is TLSSocket {
  return 'encrypted' in socket && socket.encrypted === true;
}

/** It took up a session that began with this one. */
export function resumedWith(socket: TLSSocket, end: OtherEnd): void {
  known.set(socket, end);
}

/** What a stranger shows may be anything: what cannot be read is of no authority of ours. */
function readable(certificate: X509Certificate): CertificateIds[] {
  try {
    return chainOf(certificate).map(certificateIdsOf);
  } catch {
    return [];
  }
}

function chainOf(certificate: X509Certificate): X509Certificate[] {
  const chain = [certificate];
  while (chain.length < chainMax) {
    const at = chain.at(-1) as X509Certificate;
    const above = at.issuerCertificate;
    if (above === undefined || above.raw.equals(at.raw)) break;
    chain.push(above);
  }
  return chain;
}
