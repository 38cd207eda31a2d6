/**
 * Credentials of HTTP: a name with a password, or a token; each as text or in a file.
 *
 * Rule: a file is read for every request, so that one that is written anew needs no restart.
 */

import { open } from 'node:fs/promises';
import * as z from 'zod';
import { BackendError } from '../backend.ts';

/** Of a token; the largest of a cloud has a few thousand. */
const secretBytesMax = 16 * 1024;
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
  return `Basic ${Buffer.from(`${auth.username}:${password}`).toString('base64')}`;
}

/** The text of a file, without the line end that editors leave there. */
async function secretIn(path: string, name: string): Promise<string> {
  const wrong = (words: string, error?: unknown) =>
    new BackendError('credentials', `${name}: the file ${path} of its credentials ${words}: write it anew`, { error });
  let secret: string;
  try {
    await using handle = await open(path);
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(secretBytesMax + 1));
    if (bytesRead > secretBytesMax) throw wrong(`has more than ${secretBytesMax} bytes`);
    secret = buffer.subarray(0, bytesRead).toString('utf8').trim();
  } catch (error) {
    if (error instanceof BackendError) throw error;
    throw wrong(`cannot be read (${(error as NodeJS.ErrnoException).code ?? (error as Error).message})`, error);
  }
  if (secret === '') throw wrong('is empty');
  if (/[\r\n\0]/.test(secret)) throw wrong('has more than one line');
  return secret;
}
