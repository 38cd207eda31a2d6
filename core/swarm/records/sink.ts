/** Of a sink what is looked at of all of them at once, as a row of numbers (rows.ts). feeding/ writes it. */

import type { Wish } from '../../wire/messages.ts';
import type { SinkState } from './lives.ts';
import type { Puller } from './puller.ts';
import type { Rows } from './rows.ts';

export type SinkWish = Wish & { readonly sinceMs: number };

/** The columns. `puller`: where the row of its link's other end begins. `open`: 1 or 0. `wishes`: how many. */
export const sinkAt = { count: 0, offered: 1, open: 2, puller: 3, wishes: 4, told: 5, knows: 6, toldKnown: 7 } as const;
export const sinkWidth = 8;

const noWishes: readonly SinkWish[] = [];

export class SinkRow {
  readonly #rows: Rows;
  #at: number;
  #state: SinkState = 'pending';
  #wishes = noWishes;

  /** `puller`: of its link. */
  constructor(rows: Rows, puller: Puller) {
    this.#rows = rows;
    this.#at = rows.take();
    rows.numbers[this.#at + sinkAt.puller] = puller.at;
    this.knows = Infinity;
  }

  /** It is closed. */
  end(): void {
    this.#rows.giveBack(this.#at);
    this.#at = 0;
  }

  /** Where its row begins. */
  get at(): number {
    return this.#at;
  }

  get state(): SinkState {
    return this.#state;
  }
  set state(state: SinkState) {
    this.#state = state;
    this.#rows.numbers[this.#at + sinkAt.open] = state === 'open' ? 1 : 0;
  }
  /** What it wishes for, as last heard, and since when. */
  get wishes(): readonly SinkWish[] {
    return this.#wishes;
  }
  set wishes(wishes: readonly SinkWish[]) {
    this.#wishes = wishes;
    this.#rows.numbers[this.#at + sinkAt.wishes] = wishes.length;
  }
  /** Pieces that it would take from us, as last heard. */
  get count(): number {
    return this.#rows.numbers[this.#at + sinkAt.count]!;
  }
  set count(pieces: number) {
    this.#rows.numbers[this.#at + sinkAt.count] = pieces;
  }
  /** Of our grants to it, those not answered yet. */
  get offered(): number {
    return this.#rows.numbers[this.#at + sinkAt.offered]!;
  }
  set offered(grants: number) {
    this.#rows.numbers[this.#at + sinkAt.offered] = grants;
  }
  /** How far in the blob's log of new pieces it has been told. */
  get told(): number {
    return this.#rows.numbers[this.#at + sinkAt.told]!;
  }
  set told(pieces: number) {
    this.#rows.numbers[this.#at + sinkAt.told] = pieces;
  }
  /** Hashes that its puller knows, where it said so: nothing beyond is named to it. And how many it has been told that we know. */
  get knows(): number {
    return this.#rows.numbers[this.#at + sinkAt.knows]!;
  }
  set knows(hashes: number) {
    this.#rows.numbers[this.#at + sinkAt.knows] = hashes;
  }
  get toldKnown(): number {
    return this.#rows.numbers[this.#at + sinkAt.toldKnown]!;
  }
  set toldKnown(hashes: number) {
    this.#rows.numbers[this.#at + sinkAt.toldKnown] = hashes;
  }
}
