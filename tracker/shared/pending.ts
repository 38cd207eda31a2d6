/**
 * What the other trackers are still to be told, by node: what is newer takes the place of what it changes.
 *
 * Rule: it is bounded. What has no room is dropped, whole, and mends itself: a node's lease count differs then, and who finds
 *   that out reads, or writes, the node as a whole.
 */

import type { AnnounceEntry } from '../../core/contracts/tracker.ts';
import type { Digest } from '../../core/digest.ts';
import type { NodeNews } from './records.ts';

/** Two seconds of what one tracker bears, of entries: 20 MB. */
const entriesMax = 150_000;
/** Nodes of a batch. */
const batchNodes = 512;
/** Of entries as well: a batch is written while no announce is answered. */
const batchEntries = 4_096;

export type NodeHeard = NodeNews & {
  /** The node counts its leases as we do: what is kept elsewhere may be measured by ours. */
  readonly agreed: boolean;
};

type One = { heard: NodeHeard; readonly entries: Map<Digest, AnnounceEntry> };

export class Pending {
  readonly #nodes = new Map<string, One>();
  readonly #left = new Set<string>();
  #entries = 0;

  get empty(): boolean {
    return this.#nodes.size === 0 && this.#left.size === 0;
  }

  add(heard: NodeHeard): void {
    const { node } = heard.self;
    this.#left.delete(node);
    const known = this.#nodes.get(node);
    const one: One = known === undefined || heard.reset ? { heard, entries: new Map() } : known;
    if (known !== undefined && one !== known) this.#entries -= known.entries.size;
    const before = one.entries.size;
    for (const { digest, state } of heard.entries) one.entries.set(digest, { digest, state, seek: 0 });
    this.#entries += one.entries.size - before;
    one.heard = { ...heard, reset: heard.reset || one.heard.reset };
    this.#nodes.set(node, one);
    if (this.#entries > entriesMax) this.clear();
  }

  leave(node: string): void {
    this.#drop(node);
    if (this.#left.size < batchNodes) this.#left.add(node);
  }

  /** The next batch, the oldest first. */
  take(): { readonly news: readonly NodeHeard[]; readonly left: readonly string[] } {
    const news: NodeHeard[] = [];
    let entries = 0;
    for (const [node, one] of this.#nodes) {
      if (news.length === batchNodes || (entries > 0 && entries + one.entries.size > batchEntries)) break;
      entries += one.entries.size;
      news.push({ ...one.heard, entries: [...one.entries.values()] });
      this.#drop(node);
    }
    const left = [...this.#left];
    this.#left.clear();
    return { news, left };
  }

  clear(): void {
    this.#nodes.clear();
    this.#left.clear();
    this.#entries = 0;
  }

  #drop(node: string): void {
    this.#entries -= this.#nodes.get(node)?.entries.size ?? 0;
    this.#nodes.delete(node);
  }
}
