/**
 * A blob on its way into a file: `FILE.part` until its digest is right, and resumed from there the next time.
 *
 * Rule 1: the file is either the whole, verified blob, or untouched. One that is there and right is not fetched again.
 * Rule 2: nothing is created before the first byte came: a blob that nobody has leaves nothing behind.
 * Rule 3: a part that is of another blob, found at its end or at the last by the digest, is begun anew.
 */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ApiError } from '../../core/contracts/errors.ts';
import { digestAlgorithm, digestHex } from '../../core/digest.ts';
import { makeDirs } from '../../platform/lifecycle/make-dirs.ts';
import { Failure } from '../failure.ts';
import { bytesText } from '../ui/format.ts';
import type { Persistence } from './persistence.ts';
import { type BlobPull, type BlobSink, type Held, NotOfThisBlob, pullBlob } from './pull.ts';
import type { BlobSource } from './registry.ts';

/** The end of a part that is compared with the blob. Fetched again, so small; a chance that it is alike, and of another, is none. */
const tailBytesMax = 64 * 1024;
const readBytes = 256 * 1024;

export type ToFile = {
  readonly file: string;
  readonly persistence: Persistence;
  /** A line for the user. */
  readonly say: (line: string) => void;
};

/** 'there': the file held the blob already. Bytes that were here count as moved. */
export async function pullToFile(source: BlobSource, pull: BlobPull, to: ToFile): Promise<'there' | 'pulled'> {
  if (await holds(to.file, pull, to.persistence.signal)) return 'there';
  const part = `${to.file}.part`;
  try {
    await pullPart(source, pull, { ...to, part });
  } catch (error) {
    if (!(error instanceof NotOfThisBlob)) throw error;
    to.say(`${part} was left of something else: beginning anew`);
    await rm(part);
    await pullPart(source, pull, { ...to, part });
  }
  await rename(part, to.file);
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

async function pullPart(source: BlobSource, pull: BlobPull, to: ToFile & { readonly part: string }): Promise<void> {
  const held = await heldIn(to.part, to.persistence.signal);
  if (held !== undefined && pull.size !== undefined && held.length > pull.size) throw new NotOfThisBlob();
  let counted = held?.length ?? 0;
  const onBytes = (bytes: number) => {
    counted += bytes;
    pull.onBytes?.(bytes);
  };
  if (counted > 0) pull.onBytes?.(counted);
  await using sink = new PartFile(to.part);
  try {
    await pullBlob(source, { ...pull, held, onBytes, sink }, to.persistence);
    await sink.sync();
  } catch (error) {
    if (error instanceof NotOfThisBlob) pull.onBytes?.(-counted);
    // What does not hash to the digest is no beginning of it either.
    if (error instanceof ApiError && error.code === 'DIGEST_INVALID') await rm(to.part, { force: true });
    throw error;
  }
}

async function heldIn(part: string, signal: AbortSignal): Promise<Held | undefined> {
  const length = (await stat(part).catch(() => undefined))?.size ?? 0;
  if (length === 0) return undefined;
  const tail = Buffer.alloc(Math.min(tailBytesMax, length));
  await using handle = await open(part, 'r');
  await handle.read(tail, 0, tail.length, length - tail.length);
  return { length, tail, chunks: fileChunks(part, signal, length) };
}

/** The part, made when there is something to write. */
class PartFile implements BlobSink, AsyncDisposable {
  readonly #path: string;
  #handle: FileHandle | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async write(chunk: Uint8Array): Promise<void> {
    const handle = await this.#open();
    try {
      await handle.appendFile(chunk);
    } catch (error) {
      throw await this.#whyNot(error as NodeJS.ErrnoException);
    }
  }

  /** On disk, though it be empty. */
  async sync(): Promise<void> {
    const handle = await this.#open();
    await handle.sync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle?.close();
  }

  async #open(): Promise<FileHandle> {
    if (this.#handle === undefined) makeDirs(dirname(this.#path));
    this.#handle ??= await open(this.#path, 'a');
    return this.#handle;
  }

  /** The system does not name the file that it could not write to. */
  async #whyNot(error: NodeJS.ErrnoException): Promise<Error> {
    const full = error.code === 'ENOSPC' || error.code === 'EDQUOT';
    if (!full) return new Failure(`${this.#path}: ${error.message}`);
    const size = (await stat(this.#path).catch(() => undefined))?.size ?? 0;
    return new Failure(
      `${this.#path}: there is no room left on the disk; ${bytesText(size)} are there: make room and run this again, it goes on from them`,
    );
  }
}
