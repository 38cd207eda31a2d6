/** What makes one reading of a store like another: both are walked once, side by side. */

import type { MoveReading } from './engine.ts';
import { type Change, compareEntries, type Entries, type EntryKind, sameEntry } from './entries.ts';

/** Entries of one kind, one after the other. */
class Walk<K extends EntryKind> implements AsyncDisposable {
  readonly #kind: K;
  readonly #pages: AsyncIterator<readonly Entries[K][]>;
  #page: readonly Entries[K][] = [];
  #at = 0;

  constructor(reading: MoveReading, kind: K) {
    this.#kind = kind;
    this.#pages = reading.pages(kind)[Symbol.asyncIterator]();
  }

  get entry(): Entries[K] | undefined {
    return this.#page[this.#at];
  }

  /** The next entry, which is `entry` until `next` again. */
  async next(): Promise<void> {
    const before = this.entry;
    this.#at += 1;
    while (this.#at >= this.#page.length) {
      const { done, value } = await this.#pages.next();
      this.#at = 0;
      this.#page = done === true ? [] : value;
      if (done === true) return;
    }
    const now = this.entry;
    if (before !== undefined && now !== undefined && compareEntries(this.#kind, before, now) >= 0)
      throw new Error(`entries of kind ${this.#kind} do not come in their order: ${JSON.stringify([before, now])}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pages.return?.();
  }
}

/** For each entry of either: what is to be done so that `target` is as `source`; undefined: nothing. */
export async function* changesOf<K extends EntryKind>(
  kind: K,
  source: MoveReading,
  target: MoveReading,
): AsyncGenerator<Change<K> | undefined> {
  await using from = new Walk(source, kind);
  await using to = new Walk(target, kind);
  await from.next();
  await to.next();
  const change = (how: Change['how'], entry: Entries[K]): Change<K> => ({ kind, how, entry }) as Change<K>;
  while (from.entry !== undefined || to.entry !== undefined) {
    const wanted = from.entry;
    const there = to.entry;
    const order = wanted === undefined ? 1 : there === undefined ? -1 : compareEntries(kind, wanted, there);
    if (order < 0) yield change('add', wanted as Entries[K]);
    else if (order > 0) yield change('remove', there as Entries[K]);
    else
      yield sameEntry(kind, wanted as Entries[K], there as Entries[K])
        ? undefined
        : change('replace', wanted as Entries[K]);
    if (order <= 0) await from.next();
    if (order >= 0) await to.next();
  }
}
