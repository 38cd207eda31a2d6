/**
 * By which index this origin goes: who it is stands in `DIR/index` from its first answer on. A database that was made anew,
 * or one of another cluster, knows no links: what it says of them counts for nothing until a person agrees.
 *
 * Rule: one that was restored from a copy of the one that is known has forgotten what came after the copy. Until a person has
 *   told it that it knows what is needed, what it says is missing is in doubt; from then on it is the one that is known.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError } from '../core/contracts/errors.ts';
import type { IndexSaid } from '../core/contracts/index-api.ts';
import { replaceFile } from '../platform/members/remembered.ts';

/** doubted: that nothing links to a blob may only have been forgotten. */
export type IndexStanding = 'known' | 'doubted';

export class KnownIndex {
  readonly #file: string;
  #known: string | undefined;

  /** `dir`: the origin's data directory. */
  constructor(dir: string) {
    this.#file = join(dir, 'index');
  }

  /** Throws UNAVAILABLE where `index` is another one than before, or where the disk does not say, or does not take it. */
  async standing({ index, succeeds }: IndexSaid): Promise<IndexStanding> {
    this.#known ??= await this.#onDisk(() => this.#noted(index));
    const doubted = succeeds?.trusted === false;
    const known = this.#known;
    if (known === index) return doubted ? 'doubted' : 'known';
    if (succeeds?.of.includes(known) === true) {
      if (doubted) return 'doubted';
      await this.#onDisk(() => replaceFile(this.#file, `${index}\n`));
      this.#known = index;
      return 'known';
    }
    // Whoever agrees removes the file: it is looked at again.
    this.#known = undefined;
    throw new ApiError(
      'UNAVAILABLE',
      `the index says that it is ${index}, but this origin has gone by ${known}: if that is right, remove ${this.#file}`,
    );
  }

  async #onDisk<T>(act: () => Promise<T>): Promise<T> {
    return await act().catch((error: NodeJS.ErrnoException) => {
      throw new ApiError('UNAVAILABLE', `${this.#file} cannot be used (${error.code}): see to its disk`);
    });
  }

  /** The one that is noted; from now on this one, where none is. */
  async #noted(index: string): Promise<string> {
    const known = await readFile(this.#file, 'utf8').then((text) => text.trim(), absent);
    if (known === undefined) await replaceFile(this.#file, `${index}\n`);
    return known ?? index;
  }
}

export function doubtedError(): ApiError {
  return new ApiError(
    'UNAVAILABLE',
    'the index was restored from a backup, and may have forgotten what is needed: `shoal reconcile --apply` brings that back, `shoal index trust` says that nothing is missing',
  );
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
