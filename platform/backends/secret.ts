/** A secret in a file: a password, a token. Whoever needs one reads it each time, so that a new one needs no restart. */

import { open } from 'node:fs/promises';
import { neverSay } from '../telemetry/unsaid.ts';
import { BackendError } from './backend.ts';

/** Of a token; the largest of a cloud has a few thousand. */
export const secretBytesMax = 16 * 1024;

/** The text of a file, without the line end that editors leave there. `name`: the backend's. */
export async function secretIn(path: string, name: string): Promise<string> {
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
  neverSay(secret);
  return secret;
}
