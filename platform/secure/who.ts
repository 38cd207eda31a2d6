/** Who is at the other end of a TLS connection: read off its certificate once, and looked at each time. */

import type { TLSSocket } from 'node:tls';
import { identityText, type VerifiedCaller } from '../../core/access/identity.ts';
import { factsOf } from '../certs/facts.ts';
import { noCertificate, type WhoIs } from '../net/credentials.ts';
import { otherEndOf } from '../net/other-end.ts';

/** In `cluster`; a certificate that names no cluster is in that of its authority. */
export function whoIsIn(cluster: string, nowMs: () => number): WhoIs {
  const known = new WeakMap<TLSSocket, VerifiedCaller | string>();
  return (socket) => {
    let who = known.get(socket);
    if (who === undefined) {
      who = read(socket, cluster);
      known.set(socket, who);
    }
    if (typeof who !== 'string' && who.untilMs <= nowMs()) return `the certificate of ${identityText(who)} has expired`;
    return who;
  };
}

function read(socket: TLSSocket, cluster: string): VerifiedCaller | string {
  const certificate = otherEndOf(socket)?.certificate;
  if (certificate === undefined) return noCertificate;
  if (!socket.authorized)
    return `its certificate is not believed: ${REASONS[String(socket.authorizationError)] ?? socket.authorizationError}`;
  const facts = factsOf(certificate);
  const { identity, sans, untilMs } = facts;
  if (typeof identity === 'string') return `its certificate tells nobody: ${identity}`;
  if (facts.weak !== undefined) return `its certificate is not believed: ${facts.weak}`;
  if (identity.cluster !== undefined && identity.cluster !== cluster)
    return `${identityText(identity)} is of cluster ${identity.cluster}, and this is ${cluster}`;
  return { ...identity, sans, untilMs, address: plainAddress(socket.remoteAddress ?? '') };
}

const REASONS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet',
  CERT_REVOKED: 'it is revoked',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is signed by itself',
  SELF_SIGNED_CERT_IN_CHAIN: 'its authority is not one of ours',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its authority is not one of ours',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its authority is not one of ours',
  UNABLE_TO_GET_CRL: 'there is no list of what its authority has revoked',
  CRL_HAS_EXPIRED: 'the list of what its authority has revoked has expired',
  CRL_NOT_YET_VALID: 'the list of what its authority has revoked is not valid yet',
};

/** IPv4 as it is written. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
}
