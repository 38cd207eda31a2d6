/**
 * A directory's entries in the order of their names, read in pages, the first of them ahead of time.
 *
 * Rule 1: what is read ahead is bounded: `aheadMax` directories, a page of each (1,000 names or less, as HDFS has it).
 * Rule 2: only what stands for a part of a key is an entry (names.ts).
 */

import type { HdfsNames } from './names.ts';
import type { About, HdfsPlace } from './place.ts';
import { type HdfsStatus, isDirectory, isFile } from './status.ts';

/** Requests to a NameNode at once: as many as Kraken lists with. */
const aheadMax = 16;
/** Of a directory that was read ahead, so many of its own directories are as well: those of a tag, of a blob. */
const withinMax = 3;

export type Entry = {
  readonly name: string;
  /** Of the file; of a directory what all keys begin with. */
  readonly key: string;
  /** undefined: it may not be there. */
  readonly size: number | undefined;
  /** undefined: it is a file. */
  readonly directory: Directory | undefined;
};
type Page = { readonly entries: readonly Entry[]; readonly last: string | undefined };

/** What all directories of one walk share. */
export type HdfsWalking = {
  readonly place: HdfsPlace;
  readonly names: HdfsNames;
  readonly about: About;
  ahead: number;
};

export class Directory {
  readonly key: string;
  readonly depth: number;
  readonly #walking: HdfsWalking;
  readonly #path: string;
  #first: Promise<Page> | undefined;

  constructor(walking: HdfsWalking, at: { readonly path: string; readonly key: string; readonly depth: number }) {
    this.#walking = walking;
    this.#path = at.path;
    this.key = at.key;
    this.depth = at.depth;
  }

  /** Of which `after` is the part of a key. It may not be there. */
  below(part: string): Directory {
    const name = this.#walking.names.ofPart(part, this.depth);
    return new Directory(this.#walking, {
      path: `${this.#path}/${name}`,
      key: `${this.key}${part}/`,
      depth: this.depth + 1,
    });
  }

  /** HdfsNames after `after`. None where it is not there, or is a file. */
  async *entries(after: string | undefined): AsyncGenerator<Entry> {
    let from = after;
    for (;;) {
      const page = await this.#taken(from);
      for (const [i, entry] of page.entries.entries()) {
        for (const { directory } of page.entries.slice(i, i + aheadMax)) directory?.readAhead();
        yield entry;
      }
      if (page.last === undefined) return;
      from = page.last;
    }
  }

  /** If there is room for it. */
  readAhead(): void {
    if (this.#first !== undefined || this.#walking.ahead >= aheadMax) return;
    this.#walking.ahead += 1;
    this.#first = this.#page(undefined);
    this.#first.then(
      ({ entries }) => {
        const own = entries.slice(0, withinMax);
        for (const { directory } of own) directory?.readAhead();
      },
      () => undefined,
    );
  }

  async #taken(after: string | undefined): Promise<Page> {
    const first = after === undefined ? this.#first : undefined;
    if (first === undefined) return await this.#page(after);
    try {
      return await first;
    } finally {
      this.#first = undefined;
      this.#walking.ahead -= 1;
    }
  }

  async #page(after: string | undefined): Promise<Page> {
    const { place, about } = this.#walking;
    const page = await place.page(this.#path, after, about);
    const all = page?.entries ?? [];
    const last = page?.more === true ? all.at(-1)?.pathSuffix : undefined;
    return { entries: all.flatMap((status) => this.#entryOf(status) ?? []), last };
  }

  /** A file that is listed is itself, without a name. */
  #entryOf(status: HdfsStatus): Entry | undefined {
    const { pathSuffix: name, length: size } = status;
    if (name === '' || !(isFile(status) || isDirectory(status))) return undefined;
    const part = this.#walking.names.partOf(name, this.depth);
    if (part === undefined) return undefined;
    const directory = isDirectory(status) ? this.below(part) : undefined;
    return { name, key: directory?.key ?? `${this.key}${part}`, size, directory };
  }
}
