/**
 * Weighted rendezvous hashing: which of a few nodes own a key.
 *
 * Every node draws a number h in (0, 1) for the key and scores -weight / ln(h); the highest scores
 * own it. A node that joins takes keys only for itself, one that leaves loses only its own, and a
 * node's share is its weight's share. (Thaler and Ravishankar, 1998; the weighted form by
 * Schindelhauer and Schomaker, 2005.)
 *
 * Rule 1: all parties with the same node list agree, whatever the order of the list.
 * Rule 2: O(nodes) a key; meant for tens of nodes, up to hundreds, not for agents.
 */

import { drawOf, type Hash64, hashText } from './hash.ts';

/** So few owners are kept in order as they are found; more are sorted. */
const fewMax = 8;

/** `weight` is relative and above 0; two nodes with one id are a mistake of the caller. */
export type RingNode = { readonly id: string; readonly weight: number };

export class Rendezvous {
  readonly ids: readonly string[];
  readonly #nodes: readonly RingNode[];
  /** Of each node, its id's. */
  readonly #hashes: readonly Hash64[];
  /** All weigh the same: the draw alone decides, and costs no logarithm. */
  readonly #equal: boolean;

  constructor(nodes: readonly RingNode[]) {
    const ids = new Set<string>();
    for (const { id, weight } of nodes) {
      if (!(weight > 0 && Number.isFinite(weight)))
        throw new RangeError(`rendezvous: the weight of ${id} must be above 0, not ${weight}`);
      if (ids.has(id)) throw new RangeError(`rendezvous: ${id} is listed twice`);
      ids.add(id);
    }
    this.ids = [...ids].sort();
    this.#nodes = nodes;
    this.#hashes = nodes.map(({ id }) => hashText(id));
    this.#equal = nodes.every(({ weight }) => weight === nodes[0]?.weight);
  }

  /** Of equals. */
  static of(ids: readonly string[]): Rendezvous {
    return new Rendezvous(ids.map((id) => ({ id, weight: 1 })));
  }

  get size(): number {
    return this.#nodes.length;
  }

  /** The `count` owners of `key`, best first; all nodes where there are fewer. */
  pick(key: string, count: number = this.#nodes.length): string[] {
    const scores = this.#scores(key);
    const better = (one: number, two: number): number =>
      (scores[two] as number) - (scores[one] as number) || (this.#idAt(one) < this.#idAt(two) ? -1 : 1);
    if (count > fewMax) {
      const all = scores.map((_, no) => no).sort(better);
      return all.slice(0, count).map((no) => this.#idAt(no));
    }
    const best: number[] = [];
    for (let no = 0; no < scores.length; no++) {
      let at = best.length;
      // Nearly all are no better than the last of them.
      if (at === count && (scores[no] as number) < (scores[best[at - 1] as number] ?? 0)) continue;
      while (at > 0 && better(no, best[at - 1] as number) < 0) at--;
      if (at >= count) continue;
      best.splice(at, 0, no);
      if (best.length > count) best.pop();
    }
    return best.map((no) => this.#idAt(no));
  }

  /** Whether `id` is among the first `count` owners of `key`. */
  owns(key: string, id: string, count: number): boolean {
    return this.pick(key, count).includes(id);
  }

  #idAt(no: number): string {
    return (this.#nodes[no] as RingNode).id;
  }

  #scores(key: string): number[] {
    const hash = hashText(key);
    const scores: number[] = [];
    for (let no = 0; no < this.#hashes.length; no++) {
      const draw = drawOf(this.#hashes[no] as Hash64, hash);
      scores.push(this.#equal ? draw : -(this.#nodes[no] as RingNode).weight / Math.log(draw));
    }
    return scores;
  }
}
