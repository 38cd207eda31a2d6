/** TLS to a database, from what a rule says of it. */

import { readFileSync } from 'node:fs';
import { trustedWith } from '../../net/trust.ts';
import type { SqlServerSettings } from './config.ts';

export type SqlTls = { readonly ca?: string[]; readonly cert?: string; readonly key?: string };

/** undefined: there is none. Reads the files: certificates change rarely, and with a restart. */
export function sqlTls({ tls }: Pick<SqlServerSettings, 'tls'>): SqlTls | undefined {
  if (typeof tls === 'boolean') return tls ? {} : undefined;
  const { ca, clientCertificate: own } = tls;
  return {
    ...(ca !== undefined && { ca: trustedWith(readFileSync(ca, 'utf8')) }),
    ...(own !== undefined && { cert: readFileSync(own.certificate, 'utf8'), key: readFileSync(own.key, 'utf8') }),
  };
}
