/**
 * Certificates of a cluster on this machine, made as `shoal certs` makes them: one for each part, and one for who operates it.
 * Those that are there are kept, and renewed where they would not last.
 */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { CallerRole } from '../../core/access/identity.ts';
import { filesIn } from '../../platform/certs/files.ts';
import type { MaterialFiles } from '../../platform/certs/material.ts';
import type { HttpTransport } from '../../platform/net/http.ts';
import { initAuthority, openAuthority, validityFrom } from '../certs/authority.ts';
import { issue, issuedUntilMs, reissue } from '../certs/issued.ts';
import { agentName, indexName } from './names.ts';

export type ClusterCertificates = {
  /** Where an operator's lie: for SHOAL_TLS. */
  readonly operator: string;
  filesOf(part: string): MaterialFiles;
  /** How the operator's commands reach the parts. */
  readonly transport: HttpTransport;
};

const authorityDays = 3650;
const partDays = 90;
/** A cluster that is started now may run for so long. */
const renewMs = 45 * 86_400_000;
const operator = 'admin';
const sans = ['localhost', '127.0.0.1', '::1'];

/** How many there are of the parts that may be several. */
type Counts = { readonly agents: number; readonly indexes: number };

export async function clusterCertificates(
  dir: string,
  cluster: string,
  { agents, indexes }: Counts,
): Promise<ClusterCertificates> {
  const at = join(dir, 'certs');
  const nowMs = Date.now();
  const authority = existsSync(join(at, 'ca.key'))
    ? openAuthority(at)
    : await initAuthority(at, cluster, validityFrom(nowMs, authorityDays));
  const validity = validityFrom(nowMs, partDays);
  const roles: [name: string, role: CallerRole][] = [
    ...(['proxy', 'origin', 'tracker', operator] as const).map((role): [string, CallerRole] => [role, role]),
    ...Array.from({ length: indexes }, (_, i): [string, CallerRole] => [indexName(i), 'index']),
    ...Array.from({ length: agents }, (_, i): [string, CallerRole] => [agentName(i), 'agent']),
  ];
  for (const [name, role] of roles) {
    const place = join(at, name);
    if (!existsSync(filesIn(place).certificate)) await issue(authority, { role, name, sans, validity });
    else if (issuedUntilMs(place) - nowMs < renewMs) await reissue(authority, place, validity);
  }
  const { operatorHttp } = await import('../../platform/secure/operator.ts');
  return {
    operator: join(at, operator),
    filesOf: (part) => filesIn(join(at, part)),
    transport: operatorHttp(join(at, operator)),
  };
}
