/**
 * The clients that announce, and what each has: a client is an address, and may be many nodes.
 *
 * Rule 1: a node's leases are its client's who announced for it last: whoever takes another's name has its leases counted
 *   as its own, until that one speaks again.
 * Rule 2: a client is remembered while it has a node, so there are no more of them than nodes.
 */

export type Client = { readonly name: string; leases: number; nodes: number };

export class ClientTable {
  readonly #byName = new Map<string, Client>();

  get size(): number {
    return this.#byName.size;
  }

  /** Remembered from its first node on. */
  of(name: string): Client {
    return this.#byName.get(name) ?? { name, leases: 0, nodes: 0 };
  }

  /** A node is its own, with what that has. */
  join(client: Client, leases: number): void {
    if (client.nodes === 0) this.#byName.set(client.name, client);
    client.nodes++;
    client.leases += leases;
  }

  leave(client: Client, leases: number): void {
    client.nodes--;
    client.leases -= leases;
    if (client.nodes === 0) this.#byName.delete(client.name);
  }
}
