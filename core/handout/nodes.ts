/**
 * The nodes that announced, by identity, with the time at which each one's leases end.
 *
 * All leases last equally long, so the order of renewal is the order of expiry: a doubly linked list
 * in which a renewed node goes to the end replaces a timer wheel, exactly and in O(1).
 *
 * Rule 1: a node's number is small (it indexes arrays) and reused after `remove`.
 */

import { assert } from '../assert.ts';
import type { PeerAddress } from '../wire/messages.ts';
import { type Client, ClientTable } from './clients.ts';

const none = -1;

export class NodeTable {
  readonly #byId = new Map<string, number>();
  readonly #address: PeerAddress[] = [];
  readonly #client: Client[] = [];
  readonly #clients = new ClientTable();
  readonly #expiresMs: number[] = [];
  readonly #leases: number[] = [];
  readonly #next: number[] = [];
  readonly #previous: number[] = [];
  readonly #free: number[] = [];
  #oldest = none;
  #newest = none;

  get size(): number {
    return this.#byId.size;
  }

  get clients(): number {
    return this.#clients.size;
  }

  /** The node's number, or -1. */
  find(id: string): number {
    return this.#byId.get(id) ?? none;
  }

  address(node: number): PeerAddress {
    return this.#address[node] as PeerAddress;
  }

  /** Who announced for the node last. */
  client(node: number): Client {
    return this.#client[node] as Client;
  }

  clientOf(name: string): Client {
    return this.#clients.of(name);
  }

  /** Leases that the node holds; handout.ts keeps the count. */
  leases(node: number): number {
    return this.#leases[node] as number;
  }

  addLeases(node: number, by: 1 | -1): void {
    this.#leases[node] = (this.#leases[node] as number) + by;
    this.client(node).leases += by;
  }

  /** The number of a node that was not known. */
  add(address: PeerAddress, expiresMs: number, client: Client): number {
    assert(!this.#byId.has(address.node), 'nodes: added twice');
    const node = this.#free.pop() ?? this.#address.length;
    this.#byId.set(address.node, node);
    this.#address[node] = address;
    this.#leases[node] = 0;
    this.#client[node] = client;
    this.#clients.join(client, 0);
    this.#append(node, expiresMs);
    return node;
  }

  /** It is another client's from now on. */
  move(node: number, to: Client): void {
    const from = this.client(node);
    if (from === to) return;
    this.#clients.join(to, this.leases(node));
    this.#clients.leave(from, this.leases(node));
    this.#client[node] = to;
  }

  /** `expiresMs` is not before that of any other node. */
  renew(node: number, address: PeerAddress, expiresMs: number): void {
    this.#address[node] = address;
    this.#detach(node);
    this.#append(node, expiresMs);
  }

  remove(node: number): void {
    assert(this.#leases[node] === 0, 'nodes: removed with leases');
    this.#detach(node);
    this.#clients.leave(this.client(node), 0);
    this.#byId.delete(this.address(node).node);
    this.#free.push(node);
  }

  /** The node whose leases end first, or -1. */
  oldest(): number {
    return this.#oldest;
  }

  /** When the first node's leases end; Infinity where there is none. */
  get expiresMs(): number {
    return this.#oldest === none ? Number.POSITIVE_INFINITY : (this.#expiresMs[this.#oldest] as number);
  }

  #append(node: number, expiresMs: number): void {
    this.#expiresMs[node] = expiresMs;
    this.#previous[node] = this.#newest;
    this.#next[node] = none;
    if (this.#newest === none) this.#oldest = node;
    else this.#next[this.#newest] = node;
    this.#newest = node;
  }

  #detach(node: number): void {
    const next = this.#next[node] as number;
    const previous = this.#previous[node] as number;
    if (previous === none) this.#oldest = next;
    else this.#next[previous] = next;
    if (next === none) this.#newest = previous;
    else this.#previous[next] = previous;
  }
}
