/**
 * A blob on its way into a file: `FILE.part` until its digest is right, and resumed from there the next time.
 *
 * Rule 1: the file is either the whole, verified blob, or untouched. One that is there and right is not fetched again.
 * Rule 2: nothing is created before the first byte came: a blob that nobody has leaves nothing behind.
 * Rule 3: a part that is of another blob, found at its end or at the last by the digest, is begun anew.
 */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rename, stat } from 'node:fs/promises';
import { ApiError } from '../../core/contracts/errors.ts';
import { digestAlgorithm, digestHex } from '../../core/digest.ts';
import type { Persistence } from '../../platform/clients/registry/persistence.ts';
import { type BlobPull, NotOfThisBlob, pullBlob } from '../../platform/clients/registry/pull.ts';
import type { BlobSource } from '../../platform/clients/registry/registry.ts';
import { PartFile } from './part.ts';

const readBytes = 256 * 1024;

export type ToFile = {
  readonly file: string;
  readonly persistence: Persistence;
  /** A line for the user. */
  readonly say: (line: string) => void;
};

/** 'there': the file held the blob already. Bytes that were here count as moved. */
export async function pullToFile(source: BlobSource, pull: BlobPull, to: ToFile): Promise<'there' | 'pulled'> {
  const { file, persistence, say } = to;
  const { signal } = persistence;
  if (await holds(file, pull, signal)) return 'there';
  await using part = new PartFile(`${file}.part`);
  const held = await part.held((bytes) => fileChunks(part.path, signal, bytes));
  try {
    await pullPart(source, { ...pull, held }, { part, persistence });
  } catch (error) {
    if (!(error instanceof NotOfThisBlob)) throw error;
    say(`${part.path} was left of something else: beginning anew`);
    await part.begin();
    await pullPart(source, pull, { part, persistence });
  }
  await rename(part.path, file);
  return 'pulled';
}

/** Whether `file` is the blob, by its digest. To read a large one takes a while: what was read counts, until it is wrong. */
async function holds(file: string, pull: BlobPull, signal: AbortSignal): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  if (found?.isFile() !== true || pull.size === undefined || found.size !== pull.size) return false;
  const hash = createHash(digestAlgorithm(pull.digest));
  let counted = 0;
  for await (const chunk of fileChunks(file, signal)) {
    hash.update(chunk);
    counted += chunk.length;
    pull.onBytes?.(chunk.length);
  }
  if (hash.digest('hex') === digestHex(pull.digest)) return true;
  pull.onBytes?.(-counted);
  return false;
}

/** The file's first `bytes`. Rejects with the signal's reason. */
async function* fileChunks(
  file: string,
  signal: AbortSignal,
  bytes = Number.POSITIVE_INFINITY,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of createReadStream(file, { end: bytes - 1, highWaterMark: readBytes })) {
    signal.throwIfAborted();
    yield chunk as Uint8Array;
  }
}

async function pullPart(
  source: BlobSource,
  pull: BlobPull,
  to: { readonly part: PartFile; readonly persistence: Persistence },
): Promise<void> {
  const { part, persistence } = to;
  const { held, size } = pull;
  if (held !== undefined && size !== undefined && held.length > size) throw new NotOfThisBlob();
  let counted = held?.length ?? 0;
  const onBytes = (bytes: number) => {
    counted += bytes;
    pull.onBytes?.(bytes);
  };
  if (counted > 0) pull.onBytes?.(counted);
  try {
    await pullBlob(source, { ...pull, onBytes, sink: part }, persistence);
    await part.sync();
  } catch (error) {
    if (error instanceof NotOfThisBlob) pull.onBytes?.(-counted);
    // What does not hash to the digest is no beginning of it either.
    if (error instanceof ApiError && error.code === 'DIGEST_INVALID') await part.remove();
    throw error;
  }
}
