/** How an operator's commands reach components that ask for certificates: with one of their own, of a directory. */

import { CALLER_ROLES } from '../../core/access/identity.ts';
import { filesIn } from '../certs/files.ts';
import { readMaterial } from '../certs/material.ts';
import { StartError } from '../lifecycle/errors.ts';
import { Credentials } from '../net/credentials.ts';
import type { HttpTransport } from '../net/http.ts';
import { secureHttp } from '../net/secure-http.ts';
import { whoIsIn } from './who.ts';

/** `dir`: with ca.crt, tls.crt, tls.key. Throws StartError, a line for each thing that is wrong with them. */
export function operatorHttp(dir: string): HttpTransport {
  const found = readMaterial(filesIn(dir), { role: undefined, cluster: undefined }, Date.now());
  if (!('identity' in found)) throw new StartError(found.join('\n'));
  const { cluster } = found.identity;
  if (cluster === undefined)
    throw new StartError(`${filesIn(dir).certificate}: an operator's certificate says its cluster, in a SPIFFE URI`);
  return secureHttp(new Credentials(found, whoIsIn(cluster, Date.now)), CALLER_ROLES, { anyName: true });
}
