/**
 * By which index this origin goes: who it is stands in `DIR/index` from its first answer on. A database that was made anew,
 * or one of another cluster, knows no links: what it says of them counts for nothing until a person agrees.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError } from '../core/contracts/errors.ts';
import { replaceFile } from '../platform/members/remembered.ts';

export class KnownIndex {
  readonly #file: string;
  #known: string | undefined;

  /** `dir`: the origin's data directory. */
  constructor(dir: string) {
    this.#file = join(dir, 'index');
  }

  /** Throws UNAVAILABLE where `index` is another one than before, or where the disk does not say, or does not take it. */
  async same(index: string): Promise<void> {
    this.#known ??= await this.#noted(index).catch((error: NodeJS.ErrnoException) => {
      throw new ApiError('UNAVAILABLE', `${this.#file} cannot be used (${error.code}): see to its disk`);
    });
    if (this.#known === index) return;
    const known = this.#known;
    // Whoever agrees removes the file: it is looked at again.
    this.#known = undefined;
    throw new ApiError(
      'UNAVAILABLE',
      `the index says that it is ${index}, but this origin has gone by ${known}: if that is right, remove ${this.#file}`,
    );
  }

  /** The one that is noted; from now on this one, where none is. */
  async #noted(index: string): Promise<string> {
    const known = await readFile(this.#file, 'utf8').then((text) => text.trim(), absent);
    if (known === undefined) await replaceFile(this.#file, `${index}\n`);
    return known ?? index;
  }
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
