/**
 * Where the pieces of a blob are that there is no room for: a file with places for a few of them, each given to one
 * piece after the other.
 *
 * Rule 1: a place is another piece's only once nobody reads or writes it any more, even if its piece was given up before.
 * Rule 2: the file has no name, so that the end of the process is its end as well.
 * Rule 3: where no disk takes one, there is no file, and pieces are in memory.
 */

import { assert } from '../../../core/assert.ts';
import type { StoredFile } from '../disk/open-files.ts';
import { InMemory } from '../pieces/in-memory.ts';

export class Window {
  readonly file: StoredFile | undefined;
  /** Where there is no file. */
  readonly memory: InMemory | undefined;
  /** A place is free, or there are more of them. */
  onRoom: (() => void) | undefined;
  /** By piece, in the order in which they were given a place. */
  readonly #places = new Map<number, number>();
  readonly #free: number[] = [];
  /** Reads and writes under way, by place; only where there are any. */
  readonly #users = new Map<number, number>();
  #capacity = 0;

  constructor(file: StoredFile | undefined) {
    this.file = file;
    this.memory = file === undefined ? new InMemory() : undefined;
  }

  /** Pieces that there are places for. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Pieces that have a place, the one that has had it longest first. */
  pieces(): IterableIterator<number> {
    return this.#places.keys();
  }

  has(piece: number): boolean {
    return this.#places.has(piece);
  }

  placeOf(piece: number): number | undefined {
    return this.#places.get(piece);
  }

  grow(places: number): void {
    for (let i = 0; i < places; i += 1) this.#free.push(this.#capacity + i);
    this.#capacity += places;
    if (places > 0) this.onRoom?.();
  }

  /** Gives `piece` a place. False: none is free now. */
  take(piece: number): boolean {
    assert(!this.#places.has(piece), `window: piece ${piece} has a place`);
    const place = this.#free.pop();
    if (place === undefined) return false;
    this.#places.set(piece, place);
    return true;
  }

  giveUp(piece: number): void {
    const place = this.#places.get(piece);
    if (place === undefined) return;
    this.memory?.giveUp(piece);
    this.#places.delete(piece);
    if (!this.#users.has(place)) this.#free.push(place);
  }

  /** Keeps the piece's place from becoming another's until the answer is called. undefined: it has none. */
  use(piece: number): (() => void) | undefined {
    const place = this.#places.get(piece);
    if (place === undefined) return undefined;
    this.#users.set(place, (this.#users.get(place) ?? 0) + 1);
    return () => this.#unuse(piece, place);
  }

  #unuse(piece: number, place: number): void {
    const left = (this.#users.get(place) as number) - 1;
    if (left > 0) return void this.#users.set(place, left);
    this.#users.delete(place);
    if (this.#places.get(piece) === place) return;
    this.#free.push(place);
    this.onRoom?.();
  }
}
