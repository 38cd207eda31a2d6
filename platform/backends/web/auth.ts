/**
 * Credentials of HTTP: a name with a password, or a token; each as text or in a file.
 *
 * Rule: a file is read for every request, so that one that is written anew needs no restart.
 */

import * as z from 'zod';
import { neverSay } from '../../telemetry/unsaid.ts';
import { secretBytesMax, secretIn } from '../secret.ts';

const text = z.string().min(1).max(secretBytesMax);
const file = z.string().min(1).max(2048);

export const webAuth = z.union(
  [
    z.strictObject({ username: text, password: text }),
    z.strictObject({ username: text, passwordFile: file }),
    z.strictObject({ token: text }),
    z.strictObject({ tokenFile: file }),
  ],
  'expected username with password or passwordFile, or token, or tokenFile',
);

export type WebAuth = z.output<typeof webAuth>;

/** The header `authorization`. `name`: the backend's. */
export async function authorization(auth: WebAuth, name: string): Promise<string> {
  if ('token' in auth) return `Bearer ${auth.token}`;
  if ('tokenFile' in auth) return `Bearer ${await secretIn(auth.tokenFile, name)}`;
  const password = 'password' in auth ? auth.password : await secretIn(auth.passwordFile, name);
  const pair = `${auth.username}:${password}`;
  neverSay(pair);
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}
