/**
 * One kind of members of a swarm (those that want, those that have, its origins), drawn at random
 * without repetition: every member comes up once before any comes up twice, so that handing out
 * loads all of them alike and the graph comes out nearly regular.
 *
 * The members, which are nodes' numbers, lie in an array; those before the cursor have had their turn in this round. A draw
 * is one step of a Fisher-Yates shuffle at the cursor.
 *
 * Why nobody notes where a member lies: each draw moves two, and to note that at a million leases is to wait for memory
 * twice a neighbour. Whoever leaves is looked for in the array, 100,000 members in 30 us, and leaves once.
 */

import type { Prng } from '../prng.ts';

/** Up to here an array has no room to spare: blobs that a few hosts have are many, and one that grows takes 17 places at once. */
const tight = 8;

export class MemberDraw {
  #nodes: number[] = [];
  #cursor = 0;

  get size(): number {
    return this.#nodes.length;
  }

  /** It must not be one. */
  add(node: number): void {
    if (this.#nodes.length < tight) this.#nodes = [...this.#nodes, node];
    else this.#nodes.push(node);
  }

  /** It must be one. */
  remove(node: number): void {
    const nodes = this.#nodes;
    let hole = nodes.indexOf(node);
    if (hole < this.#cursor) {
      this.#cursor--;
      nodes[hole] = nodes[this.#cursor] as number;
      hole = this.#cursor;
    }
    const last = nodes.pop() as number;
    if (hole < nodes.length) nodes[hole] = last;
    if (this.#cursor === nodes.length) this.#cursor = 0;
  }

  /** Adds up to `count` different members to `drawn`. */
  draw(count: number, prng: Prng, drawn: number[]): void {
    const nodes = this.#nodes;
    const total = Math.min(count, nodes.length);
    let end = nodes.length;
    for (let taken = 0; taken < total; taken++) {
      if (this.#cursor === end) {
        // The round ends within this draw: what it took lies at the end and stays out of the next round's part.
        end -= taken;
        this.#cursor = 0;
      }
      const other = this.#cursor + prng.below(end - this.#cursor);
      const node = nodes[other] as number;
      nodes[other] = nodes[this.#cursor] as number;
      nodes[this.#cursor] = node;
      this.#cursor++;
      drawn.push(node);
    }
    if (this.#cursor === nodes.length) this.#cursor = 0;
  }
}
