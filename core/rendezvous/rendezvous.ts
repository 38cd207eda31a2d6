/**
 * Weighted rendezvous hashing: which of a few nodes own a key.
 *
 * Every node draws a number h in (0, 1) for the key and scores -weight / ln(h); the highest scores
 * own it. A node that joins takes keys only for itself, one that leaves loses only its own, and a
 * node's share is its weight's share. (Thaler and Ravishankar, 1998; the weighted form by
 * Schindelhauer and Schomaker, 2005.)
 *
 * Rule 1: all parties with the same node list agree, whatever the order of the list.
 * Rule 2: O(nodes) a key; meant for tens of nodes, not for agents.
 */

import { combine, type Hash64, hashText, unitOf } from './hash.ts';

/** `weight` is relative and above 0; two nodes with one id are a mistake of the caller. */
export type RingNode = { readonly id: string; readonly weight: number };

export class Rendezvous {
  readonly ids: readonly string[];
  readonly #nodes: readonly { readonly id: string; readonly weight: number; readonly hash: Hash64 }[];

  constructor(nodes: readonly RingNode[]) {
    const ids = new Set<string>();
    for (const { id, weight } of nodes) {
      if (!(weight > 0 && Number.isFinite(weight)))
        throw new RangeError(`rendezvous: the weight of ${id} must be above 0, not ${weight}`);
      if (ids.has(id)) throw new RangeError(`rendezvous: ${id} is listed twice`);
      ids.add(id);
    }
    this.ids = [...ids].sort();
    this.#nodes = nodes.map(({ id, weight }) => ({ id, weight, hash: hashText(id) }));
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
    const hash = hashText(key);
    const scored = this.#nodes.map((node) => ({
      id: node.id,
      score: -node.weight / Math.log(unitOf(combine(node.hash, hash))),
    }));
    scored.sort((one, two) => two.score - one.score || (one.id < two.id ? -1 : 1));
    return scored.slice(0, count).map((node) => node.id);
  }

  /** Whether `id` is among the first `count` owners of `key`. */
  owns(key: string, id: string, count: number): boolean {
    return this.pick(key, count).includes(id);
  }
}
