/**
 * A blob on its way into a file: `FILE.part` until its digest is right, and resumed from there the next time.
 */

import { createReadStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ApiError } from '../../core/contracts/errors.ts';
import { makeDirs } from '../../platform/lifecycle/make-dirs.ts';
import type { Persistence } from './persistence.ts';
import { type BlobPull, pullBlob } from './pull.ts';
import type { BlobSource } from './registry.ts';

/** `file` is either the whole, verified blob, or untouched. Bytes that were here already count as moved. */
export async function pullToFile(
  source: BlobSource,
  pull: BlobPull,
  to: { file: string; persistence: Persistence },
): Promise<void> {
  const part = `${to.file}.part`;
  makeDirs(dirname(part));
  const length = await stat(part).then(
    (found) => found.size,
    () => 0,
  );
  const held = length > 0 ? { length, chunks: createReadStream(part) as AsyncIterable<Uint8Array> } : undefined;
  if (length > 0) pull.onBytes?.(length);
  const handle = await open(part, 'a');
  try {
    await pullBlob(source, { ...pull, held, sink: { write: (chunk) => handle.appendFile(chunk) } }, to.persistence);
    await handle.sync();
  } catch (error) {
    // What does not hash to the digest is no beginning of it either.
    if (error instanceof ApiError && error.code === 'DIGEST_INVALID') await rm(part, { force: true });
    throw error;
  } finally {
    await handle.close();
  }
  await rename(part, to.file);
}
