/** Everybody who may call: each role with a right certificate, and whoever has a wrong one, or none. */

import { CALLER_ROLES, type CallerRole } from '../../core/access/identity.ts';
import { certificatesIn, factsOf } from '../certs/facts.ts';
import { issueCertificate, makeAuthority, revocationLists } from '../certs/make.ts';
import { type Material, type MaterialFiles, readMaterial } from '../certs/material.ts';
import { pemOf, type TestAuthority } from '../certs/testing.fixtures.ts';
import { Credentials, type TlsMaterial } from '../net/credentials.ts';
import type { HttpTransport } from '../net/http.ts';
import { secureHttp } from '../net/secure-http.ts';
import { whoIsIn } from './who.ts';

export const testCluster = 'test';
const dayMs = 86_400_000;

/** Who is nobody, and why. */
export const NOBODIES = ['none', 'foreign', 'expired', 'self-signed', 'revoked', 'other cluster', 'two roles'] as const;
export type TestCaller = CallerRole | (typeof NOBODIES)[number];
export const CALLERS: readonly TestCaller[] = [...NOBODIES, ...CALLER_ROLES];

export type TestCallers = {
  /** Of a server of that role, with the list of what is revoked. */
  files(role: CallerRole): Promise<MaterialFiles>;
  /** What `caller` shows. */
  material(caller: TestCaller): TlsMaterial;
  /** How `caller` calls, whatever answers. */
  calls(caller: TestCaller): HttpTransport;
};

export async function testCallers(authority: TestAuthority, other: TestAuthority): Promise<TestCallers> {
  const { nowMs } = authority;
  const validity = { fromMs: nowMs - dayMs, untilMs: nowMs + dayMs };
  const read = async (files: MaterialFiles): Promise<Material> => {
    const found = readMaterial(files, { role: undefined, cluster: undefined }, nowMs + 1_000);
    if ('identity' in found) return found;
    throw new Error(found.join('\n'));
  };
  const made = new Map<TestCaller, TlsMaterial>();
  for (const role of CALLER_ROLES) made.set(role, await read(await authority.issue(role, { name: `${role}-1` })));
  const right = made.get('admin') as TlsMaterial;
  const ofAdmin = (cluster: string) => ({ cluster, role: 'admin', name: 'eve' }) as const;
  const issued = async (of: typeof authority.pair, o: { cluster?: string; untilMs?: number } = {}) =>
    await issueCertificate(of, { identity: ofAdmin(o.cluster ?? testCluster), sans: [], ...validity, ...o });
  const alone = await makeAuthority(testCluster, validity);
  const revoked = await issued(authority.pair);
  const twice = authority.byOpenSsl('/OU=admin/OU=origin/CN=eve', ['ed25519']);
  made.set('none', { ...right, certificate: '', key: '' });
  made.set('foreign', { ...right, ...(await issued(other.pair)) });
  made.set('expired', { ...right, ...(await issued(authority.pair, { untilMs: nowMs - dayMs / 2 })) });
  made.set('self-signed', { ...right, ...alone });
  made.set('revoked', { ...right, ...revoked });
  made.set('other cluster', { ...right, ...(await issued(authority.pair, { cluster: 'elsewhere' })) });
  made.set('two roles', { ...right, ...pemOf(twice) });
  const serials = certificatesIn(revoked.certificate).map((one) => factsOf(one).serial);
  const crl = authority.file('ca.crl', await revocationLists(authority.pair, serials, validity));
  const material = (caller: TestCaller): TlsMaterial => made.get(caller) as TlsMaterial;
  return {
    files: async (role) => ({ ...(await authority.issue(role)), crl }),
    material,
    calls: (caller) => secureHttp(new Credentials(material(caller), whoIsIn(testCluster, Date.now)), CALLER_ROLES),
  };
}
