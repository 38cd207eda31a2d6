/**
 * The file of an audit log: lines are appended and synced, and it is put aside when it is full.
 *
 * Rule 1: what `append` has answered is on the disk, in a file that is there under its name after a crash.
 * Rule 2: a line that a crash tore is the last one: it is cut off when the file is opened, unless only its end is missing.
 * Rule 3: full ones are FILE.1, FILE.2, the newest first, at most `keep`; what is beyond that is removed.
 */

import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

export type AuditFileOptions = {
  readonly file: string;
  /** One is put aside before it becomes larger, if it holds anything. */
  readonly maxBytes: number;
  /** Files beside the one that is written. */
  readonly keep: number;
};

/** A torn line is shorter: lines are bounded (entry.ts), and so is what is written at once. */
const tailBytesMax = 8 * 1024 * 1024;
const lineEnd = 0x0a;

export class AuditFile implements AsyncDisposable {
  readonly #options: AuditFileOptions;
  #handle: FileHandle;
  #bytes: number;
  /** Bytes of a torn line that were cut off at the start. */
  readonly torn: number;

  private constructor(options: AuditFileOptions, of: { handle: FileHandle; bytes: number; torn: number }) {
    this.#options = options;
    this.#handle = of.handle;
    this.#bytes = of.bytes;
    this.torn = of.torn;
  }

  /** Throws what the system says. */
  static async open(options: AuditFileOptions): Promise<AuditFile> {
    const { file } = options;
    const handle = await open(file, 'a+', 0o600);
    try {
      const mended = await mend(handle);
      await synced(dirname(file));
      return new AuditFile(options, { handle, ...mended });
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whole lines. After a failure the file is to be opened anew. */
  async append(lines: Buffer): Promise<void> {
    if (this.#bytes > 0 && this.#bytes + lines.length > this.#options.maxBytes) await this.#turn();
    await this.#handle.appendFile(lines);
    await this.#handle.datasync();
    this.#bytes += lines.length;
  }

  /** What it holds is synced already. */
  async #turn(): Promise<void> {
    const { file, keep } = this.#options;
    await putAside(file, keep);
    const handle = await open(file, 'a+', 0o600);
    await synced(dirname(file));
    await this.#handle.close();
    this.#handle = handle;
    this.#bytes = 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

/** Up to the first name that is free: a crash in between leaves such a one, and loses nothing. */
async function putAside(file: string, keep: number): Promise<void> {
  if (keep === 0) return await rm(file, { force: true });
  let last = 1;
  while (last < keep && (await isThere(`${file}.${last}`))) last++;
  for (let no = last; no > 1; no--) await rename(`${file}.${no - 1}`, `${file}.${no}`);
  await rename(file, `${file}.1`);
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

/** Cuts off a line that has no end. */
async function mend(handle: FileHandle): Promise<{ bytes: number; torn: number }> {
  const { size } = await handle.stat();
  const tail = Buffer.alloc(Math.min(size, tailBytesMax));
  await handle.read(tail, 0, tail.length, size - tail.length);
  const torn = tail.length - 1 - tail.lastIndexOf(lineEnd);
  if (size === 0 || torn === 0) return { bytes: size, torn: 0 };
  if (isJson(tail.subarray(tail.length - torn))) {
    await handle.appendFile('\n');
    await handle.datasync();
    return { bytes: size + 1, torn: 0 };
  }
  await handle.truncate(size - torn);
  await handle.sync();
  return { bytes: size - torn, torn };
}

function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

async function synced(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
