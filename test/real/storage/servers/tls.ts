/** A certificate of its own for a server of these tests, whose key is that of whoever runs it. */
import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { givenToNobody } from './nobody.ts';

/** Makes `cert.pem` and `key.pem` in `dir`, for localhost. */
export function certificateIn(dir: string): { readonly cert: string; readonly key: string } {
  const [cert, key] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const made = ['-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost'];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const names = ['-addext', 'subjectAltName=DNS:localhost'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...made, ...names], { stdio: 'ignore' });
  chmodSync(key, 0o600);
  for (const file of [cert, key]) givenToNobody(file);
  return { cert, key };
}
