/**
 * The leases: who (node) takes part in what (swarm). Columns in typed arrays, a hash table over
 * (swarm, node) with linear probing, and a list of each node's leases, so that a million leases take
 * about 40 MB and every operation costs the same at a thousand and at a million.
 *
 * Rule 1: numbers only; nodes.ts and handout.ts know what they stand for.
 * Rule 2: a lease's number is reused after `remove`.
 */

import { assert } from '../assert.ts';

export const LEASE_STATE = { want: 0, have: 1, origin: 2 } as const;
export type LeaseState = (typeof LEASE_STATE)[keyof typeof LEASE_STATE];

const none = -1;
const leasesAtFirst = 1024;

export class LeaseTable {
  /** Columns, indexed by lease. `place` belongs to members.ts; `seeks` counts the times it asked for neighbours. */
  node = new Int32Array(leasesAtFirst);
  swarm = new Int32Array(leasesAtFirst);
  place = new Int32Array(leasesAtFirst);
  state = new Uint8Array(leasesAtFirst);
  seeks = new Uint8Array(leasesAtFirst);
  #next = new Int32Array(leasesAtFirst);
  #previous = new Int32Array(leasesAtFirst);
  /** Lease + 1 by hash; 0 is empty. Twice as many slots as leases fit. */
  #slots = new Int32Array(leasesAtFirst * 2);
  /** First lease of each node; grows with the node numbers. */
  #first: number[] = [];
  #free: number[] = [];
  #used = 0;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The lease of (swarm, node), or -1. */
  find(swarm: number, node: number): number {
    const mask = this.#slots.length - 1;
    for (let at = hashOf(swarm, node) & mask; ; at = (at + 1) & mask) {
      const lease = (this.#slots[at] as number) - 1;
      if (lease === none) return none;
      if (this.swarm[lease] === swarm && this.node[lease] === node) return lease;
    }
  }

  /** A new lease; there must be none of (swarm, node). */
  add(swarm: number, node: number, state: LeaseState): number {
    if (this.#count === this.node.length) this.#grow();
    const lease = this.#free.pop() ?? this.#used++;
    this.#count++;
    this.swarm[lease] = swarm;
    this.node[lease] = node;
    this.state[lease] = state;
    this.seeks[lease] = 0;
    this.#insert(lease);
    while (this.#first.length <= node) this.#first.push(none);
    const first = this.#first[node] as number;
    this.#previous[lease] = none;
    this.#next[lease] = first;
    if (first !== none) this.#previous[first] = lease;
    this.#first[node] = lease;
    return lease;
  }

  remove(lease: number): void {
    this.#vacate(lease);
    const next = this.#next[lease] as number;
    const previous = this.#previous[lease] as number;
    if (next !== none) this.#previous[next] = previous;
    if (previous !== none) this.#next[previous] = next;
    else this.#first[this.node[lease] as number] = next;
    this.#free.push(lease);
    this.#count--;
  }

  /** Any lease of the node, or -1. */
  firstOf(node: number): number {
    return this.#first[node] ?? none;
  }

  #insert(lease: number): void {
    const mask = this.#slots.length - 1;
    let at = hashOf(this.swarm[lease] as number, this.node[lease] as number) & mask;
    while (this.#slots[at] !== 0) at = (at + 1) & mask;
    this.#slots[at] = lease + 1;
  }

  /** Takes the lease's slot and moves later ones of the run back, so that no probe meets a hole. */
  #vacate(lease: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = hashOf(this.swarm[lease] as number, this.node[lease] as number) & mask;
    while (slots[hole] !== lease + 1) {
      assert(slots[hole] !== 0, 'leases: removed twice');
      hole = (hole + 1) & mask;
    }
    for (let at = (hole + 1) & mask; slots[at] !== 0; at = (at + 1) & mask) {
      const other = (slots[at] as number) - 1;
      const home = hashOf(this.swarm[other] as number, this.node[other] as number) & mask;
      // `other` may fill the hole unless its home lies after the hole, cyclically.
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = slots[at] as number;
      hole = at;
    }
    slots[hole] = 0;
  }

  #grow(): void {
    const length = this.node.length * 2;
    const wider = (column: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> => {
      const wide = new Int32Array(length);
      wide.set(column);
      return wide;
    };
    const widerBytes = (column: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => {
      const wide = new Uint8Array(length);
      wide.set(column);
      return wide;
    };
    this.node = wider(this.node);
    this.swarm = wider(this.swarm);
    this.place = wider(this.place);
    this.state = widerBytes(this.state);
    this.seeks = widerBytes(this.seeks);
    this.#next = wider(this.#next);
    this.#previous = wider(this.#previous);
    this.#slots = new Int32Array(length * 2);
    // The table was full, so every number below `used` is a lease.
    for (let lease = 0; lease < this.#used; lease++) this.#insert(lease);
  }
}

function hashOf(swarm: number, node: number): number {
  let z = Math.imul(swarm, 0x9e3779b1) ^ Math.imul(node, 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 15), 0x7feb352d);
  return z ^ (z >>> 16);
}
