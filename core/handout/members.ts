/**
 * One kind of members of a swarm (those that want, those that have, its origins), drawn at random
 * without repetition: every member comes up once before any comes up twice, so that handing out
 * loads all of them alike and the graph comes out nearly regular.
 *
 * The members lie in an array; those before the cursor have had their turn in this round. A draw is
 * one step of a Fisher-Yates shuffle at the cursor. Every operation costs O(1) a member touched.
 */

import type { Prng } from '../prng.ts';

export class LeaseDraw {
  readonly #leases: number[] = [];
  #cursor = 0;

  get size(): number {
    return this.#leases.length;
  }

  /** `place` is the column in which the leases' positions are kept. */
  add(lease: number, place: Int32Array): void {
    place[lease] = this.#leases.length;
    this.#leases.push(lease);
  }

  remove(lease: number, place: Int32Array): void {
    let hole = place[lease] as number;
    if (hole < this.#cursor) {
      this.#cursor--;
      this.#put(hole, this.#leases[this.#cursor] as number, place);
      hole = this.#cursor;
    }
    const last = this.#leases.pop()!;
    if (hole < this.#leases.length) this.#put(hole, last, place);
    if (this.#cursor === this.#leases.length) this.#cursor = 0;
  }

  /** Adds up to `count` different leases to `drawn`. */
  draw(count: number, draw: { readonly prng: Prng; readonly place: Int32Array; readonly drawn: number[] }): void {
    const total = Math.min(count, this.#leases.length);
    let end = this.#leases.length;
    for (let taken = 0; taken < total; taken++) {
      if (this.#cursor === end) {
        // The round ends within this draw: what it took lies at the end and stays out of the next round's part.
        end -= taken;
        this.#cursor = 0;
      }
      const other = this.#cursor + draw.prng.below(end - this.#cursor);
      const lease = this.#leases[other] as number;
      this.#put(other, this.#leases[this.#cursor] as number, draw.place);
      this.#put(this.#cursor, lease, draw.place);
      this.#cursor++;
      draw.drawn.push(lease);
    }
    if (this.#cursor === this.#leases.length) this.#cursor = 0;
  }

  #put(at: number, lease: number, place: Int32Array): void {
    this.#leases[at] = lease;
    place[lease] = at;
  }
}
