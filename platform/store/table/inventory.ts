/**
 * What one process tells the next of its blobs (../contents.ts), and what a start makes of it: rows that have their place
 * in the order of use, and nothing else, until they are found.
 *
 * Rule: what a start does not find is not here when it is over.
 */

import type { Digest } from '../../../core/digest.ts';
import type { ContentsRecord, ToldBlob } from '../contents.ts';
import { none } from './columns.ts';
import type { BlobRow, BlobTable } from './table.ts';

/** `most`: that are found. `before` in seconds. */
type AgeSearch = {
  readonly from: number;
  readonly looks: number;
  readonly most: number;
  readonly before: { readonly used: number; readonly came: number };
};

export class Inventory {
  readonly #table: BlobTable;
  readonly #complete: (row: number) => boolean;

  constructor(table: BlobTable, complete: (row: number) => boolean) {
    this.#table = table;
    this.#complete = complete;
  }

  /** What the next process is told: least recently used first. */
  *records(): Generator<ContentsRecord, undefined> {
    for (const row of this.#table.order.walk()) yield { ...this.#table.record(row), whole: this.#complete(row) };
    return undefined;
  }

  /** Adds to `due` what was used or came before then, of `looks` rows from `from` on; where the next look goes on. */
  due(search: AgeSearch, due: Digest[]): number {
    const { from, looks, most, before } = search;
    for (const row of this.#table.rows(from)) {
      if (row >= from + looks || due.length >= most) return row;
      const { came, used } = this.#table.record(row);
      if (came < before.came || used < before.used) due.push(this.#table.digest(row));
    }
    return 0;
  }

  add(told: ToldBlob): void {
    if (!this.#table.full) this.#table.expect(told.digest, told);
  }

  /** It is still looked for, and was whole. */
  wasWhole(digest: Digest): boolean {
    const row = this.#table.find(digest);
    return row !== none && this.#table.expected(row) && this.#table.wasWhole(row);
  }

  /** It was found whole. */
  found(digest: Digest): (BlobRow & { readonly bits: undefined }) | undefined {
    const row = this.#table.find(digest);
    return row === none || this.#table.expected(row) ? undefined : { ...this.#table.blob(row), bits: undefined };
  }

  /** The start is over: those that were not found go, but for which `waits`. */
  *end(waits: (digest: Digest) => boolean): Generator<Digest, undefined> {
    for (const row of this.#table.order.walk()) {
      if (!this.#table.expected(row)) continue;
      const digest = this.#table.digest(row);
      if (waits(digest)) continue;
      this.#table.remove(row);
      yield digest;
    }
    return undefined;
  }
}
