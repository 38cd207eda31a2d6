/** Certificates that a TLS connection of ours trusts beside those that everybody knows. */

import { rootCertificates } from 'node:tls';

/** The known authorities, and those of `pem`. */
export function trustedWith(pem: string): string[] {
  return [...rootCertificates, pem];
}
