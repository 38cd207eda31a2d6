/**
 * The leases: who (node) takes part in what (swarm). A row of 16 bytes each in one typed array, a hash table over
 * (swarm, node) with linear probing, and a list of each node's leases, so that a million leases take about 30 MB.
 *
 * Why rows: of a million leases none is in the processor's caches when it is wanted. All of one lies in one line, so it is
 *   waited for once; in columns it was up to eight times, which made an announce at a million several times as dear.
 *
 * Rule 1: numbers only; nodes.ts and handout.ts know what they stand for.
 * Rule 2: a lease's number is reused after `remove`.
 */

import { assert } from '../assert.ts';

export const LEASE_STATE = { want: 0, have: 1, origin: 2 } as const;
export type LeaseState = (typeof LEASE_STATE)[keyof typeof LEASE_STATE];

const none = -1;
const leasesAtFirst = 1024;

/** Where a row lies: lease << rowBits. A quarter of a cache line. */
const rowBits = 2;
/** The node, its state in this swarm, and the times that it asked for neighbours. */
const whoAt = 0;
const swarmAt = 1;
const nextAt = 2;
const previousAt = 3;
const nodeBits = 24;
const nodeMask = (1 << nodeBits) - 1;
/** Nodes that can be told apart. */
export const nodesMax = 1 << nodeBits;
const stateBits = 2;
/** Times that are counted. */
const seeksMax = 31;

export class LeaseTable {
  #rows = new Int32Array(leasesAtFirst << rowBits);
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

  node(lease: number): number {
    return this.#at(lease, whoAt) & nodeMask;
  }

  swarm(lease: number): number {
    return this.#at(lease, swarmAt);
  }

  state(lease: number): LeaseState {
    return ((this.#at(lease, whoAt) >> nodeBits) & ((1 << stateBits) - 1)) as LeaseState;
  }

  /** The times that it asked for neighbours in this state, as far as they are counted. */
  seeks(lease: number): number {
    return this.#at(lease, whoAt) >> (nodeBits + stateBits);
  }

  sought(lease: number): void {
    const seeks = Math.min(seeksMax, this.seeks(lease) + 1);
    this.#name(lease, { node: this.node(lease), state: this.state(lease), seeks });
  }

  change(lease: number, state: LeaseState): void {
    this.#name(lease, { node: this.node(lease), state, seeks: 0 });
  }

  /** The lease of (swarm, node), or -1. */
  find(swarm: number, node: number): number {
    const slots = this.#slots;
    const rows = this.#rows;
    const mask = slots.length - 1;
    for (let at = hashOf(swarm, node) & mask; ; at = (at + 1) & mask) {
      const lease = (slots[at] as number) - 1;
      if (lease === none) return none;
      const row = lease << rowBits;
      if (rows[row + swarmAt] === swarm && ((rows[row + whoAt] as number) & nodeMask) === node) return lease;
    }
  }

  /** A new lease; there must be none of (swarm, node). */
  add(swarm: number, node: number, state: LeaseState): number {
    assert(node < nodesMax, 'leases: too many nodes');
    if (this.#count << rowBits === this.#rows.length) this.#grow();
    const lease = this.#free.pop() ?? this.#used++;
    this.#count++;
    while (this.#first.length <= node) this.#first.push(none);
    const first = this.#first[node] as number;
    this.#put(lease, swarmAt, swarm);
    this.#name(lease, { node, state, seeks: 0 });
    this.#put(lease, previousAt, none);
    this.#put(lease, nextAt, first);
    this.#insert(lease);
    if (first !== none) this.#put(first, previousAt, lease);
    this.#first[node] = lease;
    return lease;
  }

  remove(lease: number): void {
    this.#vacate(lease);
    const next = this.#at(lease, nextAt);
    const previous = this.#at(lease, previousAt);
    if (next !== none) this.#put(next, previousAt, previous);
    if (previous !== none) this.#put(previous, nextAt, next);
    else this.#first[this.node(lease)] = next;
    this.#free.push(lease);
    this.#count--;
  }

  /** Any lease of the node, or -1. */
  firstOf(node: number): number {
    return this.#first[node] ?? none;
  }

  /** All of the node's; none may be added or removed meanwhile. */
  *of(node: number): Generator<number> {
    for (let lease = this.firstOf(node); lease !== none; lease = this.#at(lease, nextAt)) yield lease;
  }

  #name(lease: number, who: { readonly node: number; readonly state: LeaseState; readonly seeks: number }): void {
    this.#put(lease, whoAt, who.node | (who.state << nodeBits) | (who.seeks << (nodeBits + stateBits)));
  }

  #at(lease: number, field: number): number {
    return this.#rows[(lease << rowBits) + field] as number;
  }

  #put(lease: number, field: number, value: number): void {
    this.#rows[(lease << rowBits) + field] = value;
  }

  #home(lease: number): number {
    return hashOf(this.swarm(lease), this.node(lease)) & (this.#slots.length - 1);
  }

  #insert(lease: number): void {
    const mask = this.#slots.length - 1;
    let at = this.#home(lease);
    while (this.#slots[at] !== 0) at = (at + 1) & mask;
    this.#slots[at] = lease + 1;
  }

  /** Takes the lease's slot and moves later ones of the run back, so that no probe meets a hole. */
  #vacate(lease: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = this.#home(lease);
    while (slots[hole] !== lease + 1) {
      assert(slots[hole] !== 0, 'leases: removed twice');
      hole = (hole + 1) & mask;
    }
    for (let at = (hole + 1) & mask; slots[at] !== 0; at = (at + 1) & mask) {
      const home = this.#home((slots[at] as number) - 1);
      // That one may fill the hole unless its home lies after the hole, cyclically.
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = slots[at] as number;
      hole = at;
    }
    slots[hole] = 0;
  }

  #grow(): void {
    const wide = new Int32Array(this.#rows.length * 2);
    wide.set(this.#rows);
    this.#rows = wide;
    this.#slots = new Int32Array(this.#slots.length * 2);
    // The table was full, so every number below `used` is a lease.
    for (let lease = 0; lease < this.#used; lease++) this.#insert(lease);
  }
}

function hashOf(swarm: number, node: number): number {
  let z = Math.imul(swarm, 0x9e3779b1) ^ Math.imul(node, 0x85ebca6b);
  z = Math.imul(z ^ (z >>> 15), 0x7feb352d);
  return z ^ (z >>> 16);
}
