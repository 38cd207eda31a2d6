/**
 * The entries that are used: one a blob, for as long as anybody has it.
 *
 * Rule 1: while an entry can be reached by anybody, it is the blob's only one.
 * Rule 2: the latest used are kept, so that what is read every second is not made anew every second; so is what is pinned or
 *   not whole, since that knows what no name tells. Of others, whoever holds one keeps it.
 */

import type { BlobEntry } from '../pieces/entry.ts';
import type { BlobTable } from './table.ts';

/** Entries that nobody may be using; about 1 KB each, with their lists. */
export const idleMax = 4_096;
/** Entries that are looked at, of those that were used longest ago, when there are too many. */
const looksMax = 8;

export class Live {
  readonly #table: Pick<BlobTable, 'live' | 'setLive'>;
  readonly #letGo: (entry: BlobEntry) => void;
  readonly #max: number;
  /** By row, in order of use. */
  readonly #kept = new Map<number, BlobEntry>();
  readonly #held = new Map<number, WeakRef<BlobEntry>>();
  readonly #collected = new FinalizationRegistry<number>((row) => this.#forget(row));

  /** `letGo`: the entry is kept no longer; whoever has it still uses it. */
  constructor(o: {
    readonly table: Pick<BlobTable, 'live' | 'setLive'>;
    readonly letGo: (entry: BlobEntry) => void;
    readonly max?: number | undefined;
  }) {
    this.#table = o.table;
    this.#letGo = o.letGo;
    this.#max = o.max ?? idleMax;
  }

  get(row: number): BlobEntry | undefined {
    if (!this.#table.live(row)) return undefined;
    return this.#kept.get(row) ?? this.#held.get(row)?.deref();
  }

  /** It is used now. */
  use(row: number, entry: BlobEntry): void {
    this.#held.delete(row);
    this.#kept.delete(row);
    this.#kept.set(row, entry);
    this.#table.setLive(row, true);
    if (this.#kept.size > this.#max) this.#shrink();
  }

  /** The row is no more this blob's. */
  remove(row: number): void {
    this.#kept.delete(row);
    this.#held.delete(row);
    this.#table.setLive(row, false);
  }

  #shrink(): void {
    let looks = 0;
    for (const [row, entry] of this.#kept) {
      if (this.#kept.size <= this.#max || looks === looksMax) return;
      looks += 1;
      this.#kept.delete(row);
      if (entry.pinned || !entry.complete) this.#kept.set(row, entry);
      else {
        this.#held.set(row, new WeakRef(entry));
        this.#collected.register(entry, row);
        this.#letGo(entry);
      }
    }
  }

  #forget(row: number): void {
    // Another blob may have the row by now, or another entry.
    if (!this.#held.has(row) || this.#held.get(row)?.deref() !== undefined) return;
    this.#held.delete(row);
    this.#table.setLive(row, false);
  }
}
