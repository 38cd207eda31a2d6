/**
 * A file of a data directory in which a process notes what it knows of others, to begin with when it is started again.
 *
 * Rule 1: it is a hint. A file that cannot be used is ignored with one line in the log, and written anew.
 * Rule 2: it is replaced whole, by a rename, and only where something has changed.
 */

import { open, readFile, rename } from 'node:fs/promises';
import type { LineLog } from '../telemetry/log.ts';

/** More than the longest list takes; what is longer is none of ours. */
export const rememberedBytesMax = 512 * 1024;

export type RememberedOptions<T> = {
  readonly file: string;
  /** What is remembered in it. */
  readonly what: string;
  /** undefined: it is none of ours. */
  readonly usable: (found: { readonly [key: string]: unknown }) => T | undefined;
  readonly log: Pick<LineLog, 'warn'>;
};

export class RememberedFile<T extends object> implements AsyncDisposable {
  readonly #options: RememberedOptions<T>;
  #written: string | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: RememberedOptions<T>) {
    this.#options = options;
  }

  /** What was remembered, or undefined. */
  async read(): Promise<T | undefined> {
    const { file, what, usable, log } = this.#options;
    try {
      const text = await readFile(file, 'utf8');
      const found =
        text.length > rememberedBytesMax ? undefined : usable((JSON.parse(text) ?? {}) as { [key: string]: unknown });
      if (found === undefined) throw new Error(`it is of another cluster, or no list of ${what}`);
      this.#written = text;
      return found;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        log.warn({ file, why: (error as Error).message }, `remembered ${what} are ignored`);
      return undefined;
    }
  }

  /** Remembers it, in the background. */
  write(value: object): void {
    const text = `${JSON.stringify(value)}\n`;
    if (text === this.#written) return;
    this.#written = text;
    this.#writing = this.#writing.then(() => this.#replace(text));
  }

  /** What was to be written is. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writing;
  }

  async #replace(text: string): Promise<void> {
    const { file, what, log } = this.#options;
    // What is to follow at once need not be written.
    if (text !== this.#written) return;
    try {
      await replaceFile(file, text);
    } catch (error) {
      this.#written = undefined;
      log.warn({ file, why: (error as Error).message }, `${what} cannot be remembered`);
    }
  }
}

/** After a crash there is the one before or this one, whole. */
export async function replaceFile(path: string, text: string, mode = 0o666): Promise<void> {
  const file = await open(`${path}.new`, 'w', mode);
  try {
    await file.writeFile(text);
    // Else a crash might leave the name and not the bytes.
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
