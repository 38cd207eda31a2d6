/** Which authority stands behind a certificate, by signatures: OpenSSL says that one does, and not which. */

import type { X509Certificate } from 'node:crypto';

/** More certificates nobody needs between its own and an authority. */
const stepsMax = 10;

export function isSignedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  return authority.ca && certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

/** Whether it is one of these, over those that came along with it; where OpenSSL has believed it already. */
export function leadsTo(certificate: X509Certificate, authorities: readonly X509Certificate[]): boolean {
  let at = certificate;
  for (let steps = 0; steps < stepsMax; steps++) {
    if (authorities.some((one) => isSignedBy(at, one))) return true;
    const above = at.issuerCertificate;
    if (above === undefined || !isSignedBy(at, above)) return false;
    at = above;
  }
  return false;
}
