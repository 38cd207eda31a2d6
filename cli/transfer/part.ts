/**
 * `FILE.part`, what has come of a blob so far, and `FILE.part.lock` beside it while a process writes there.
 *
 * Rule 1: one process writes to a part. Two would each hash what it got itself, and leave a mixture of both under the
 *         right name. The lock of a process that is gone counts for nothing.
 * Rule 2: nothing is made before there is something to write.
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { BlobSink, Held } from '../../platform/clients/registry/pull.ts';
import { makeDirs } from '../../platform/lifecycle/make-dirs.ts';
import { alive } from '../cluster/alive.ts';
import { Failure } from '../failure.ts';
import { bytesText } from '../ui/format.ts';

/** The end of a part that is compared with the blob. Fetched again, so small; that it is alike and of another blob, as good as never. */
const tailBytesMax = 64 * 1024;

export class PartFile implements BlobSink, AsyncDisposable {
  readonly path: string;
  #locked = false;
  #handle: FileHandle | undefined;
  /** Whether what is there is gone on from. */
  #resumed = false;

  constructor(path: string) {
    this.path = path;
  }

  /** What is there already; undefined: nothing. Throws a Failure where another process writes there. */
  async held(chunks: (bytes: number) => AsyncIterable<Uint8Array>): Promise<Held | undefined> {
    if ((await this.#size()) === 0) return undefined;
    await this.#lock();
    const length = await this.#size();
    if (length === 0) return undefined;
    this.#resumed = true;
    const tail = Buffer.alloc(Math.min(tailBytesMax, length));
    await using handle = await open(this.path, 'r');
    await handle.read(tail, 0, tail.length, length - tail.length);
    return { length, tail, chunks: chunks(length) };
  }

  /** Held bytes are of something else: the next one that is written is the first. */
  async begin(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
    this.#resumed = false;
  }

  async write(chunk: Uint8Array): Promise<void> {
    const handle = await this.#open();
    try {
      await handle.appendFile(chunk);
    } catch (error) {
      throw await this.#whyNot(error as Error);
    }
  }

  /** On disk, though it be empty. */
  async sync(): Promise<void> {
    const handle = await this.#open();
    await handle.sync();
  }

  async remove(): Promise<void> {
    await rm(this.path, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle?.close();
    if (this.#locked) rmSync(this.#lockPath, { force: true });
  }

  get #lockPath(): string {
    return `${this.path}.lock`;
  }

  async #size(): Promise<number> {
    return (await stat(this.path).catch(() => undefined))?.size ?? 0;
  }

  async #open(): Promise<FileHandle> {
    if (this.#handle !== undefined) return this.#handle;
    makeDirs(dirname(this.path));
    await this.#lock();
    this.#handle = await open(this.path, this.#resumed ? 'a' : 'w');
    this.#resumed = true;
    return this.#handle;
  }

  async #lock(): Promise<void> {
    for (let tries = 0; !this.#locked; tries++) {
      try {
        writeFileSync(this.#lockPath, `${process.pid}\n`, { flag: 'wx' });
        this.#locked = true;
      } catch (error) {
        if (isFull(error)) rmSync(this.#lockPath, { force: true });
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw await this.#whyNot(error as Error);
        const owner = Number(readFileSync(this.#lockPath, 'utf8'));
        // Our own number is of a process before us, in a container that gives each the same one.
        if ((owner > 0 && owner !== process.pid && alive(owner)) || tries > 0)
          throw new Failure(
            `${this.path}: process ${owner} writes there: wait for it, or choose another --output (if it is no shoal, remove ${this.#lockPath})`,
          );
        rmSync(this.#lockPath, { force: true });
      }
    }
  }

  /** The system does not always name the file that it could not write to. */
  async #whyNot(error: Error): Promise<Error> {
    if (!isFull(error)) return new Failure(`${this.path}: ${error.message}`);
    return new Failure(
      `${this.path}: there is no room left on the disk; ${bytesText(await this.#size())} are there: make room and run this again, it goes on from them`,
    );
  }
}

function isFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
