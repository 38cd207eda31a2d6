/**
 * A certificate's files, as cert-manager's secrets call them: `ca.crt`, `tls.crt`, `tls.key` in a directory, and `ca.crl`
 * where something is revoked.
 *
 * Rule: a file is there whole or not at all, and nobody but its owner may read it: it may hold a key.
 */

import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

export const FILES = { authority: 'ca.crt', authorityKey: 'ca.key', revoked: 'ca.crl' } as const;
const OWN = { certificate: 'tls.crt', key: 'tls.key' } as const;

const ownerOnly = 0o600;

/** Of one process, below its directory. */
export function filesIn(dir: string): { readonly ca: string; readonly certificate: string; readonly key: string } {
  return { ca: join(dir, FILES.authority), certificate: join(dir, OWN.certificate), key: join(dir, OWN.key) };
}

/** Synced, and in place of one that is there. */
export function writeSecret(path: string, text: string): void {
  const unfinished = `${path}.${randomBytes(4).toString('hex')}.new`;
  try {
    synced(openSync(unfinished, 'wx', ownerOnly), (file) => void writeSync(file, text));
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
  synced(openSync(dirname(path), 'r'), () => undefined);
}

function synced(file: number, act: (file: number) => void): void {
  try {
    act(file);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** undefined: there is none. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
