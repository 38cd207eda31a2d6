/** A directory: a server without a process. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorageServer } from './server.ts';

export async function startDirectory(dir: string): Promise<StorageServer> {
  const directory = join(dir, 'objects');
  await mkdir(directory);
  return { rule: { name: 'main', file: { directory } }, env: {}, async [Symbol.asyncDispose]() {} };
}
