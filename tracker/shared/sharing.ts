/**
 * Leases that trackers share: each keeps all of them in its own memory, and answers from there. What one is announced it
 * keeps in Redis and tells the others, a moment later; one that starts reads what is kept.
 *
 * Rule 1: no announce waits for any of this. Where Redis is away, hangs or has lost everything, a tracker knows what it was
 *   announced itself, as one that shares nothing, and what it cannot tell then it does not gather.
 * Rule 2: what two do not agree about shows in a node's number of leases, which goes with all that is told of it: who has
 *   another number reads the node from Redis; where Redis has another one than who was announced it, it is written there whole.
 * Rule 3: what is read is believed as an announce is, within the same limits.
 */

import { randomUUID } from 'node:crypto';
import type { AnnounceRequest } from '../../core/contracts/tracker.ts';
import type { TrackerState } from '../state.ts';
import { type NodeHeard, Pending } from './pending.ts';
import { type NodeNews, readNode, readTold, type ToldNews } from './records.ts';
import { RedisLink, type RedisSettings } from './redis.ts';

/** What came up within it goes out together. */
const batchMs = 20;
/** A message of our own comes back by then, or nothing is heard any more. */
const echoMsMax = 5_000;
/** Nodes that are to be read: beyond it they are found again when they renew. */
const unreadMax = 4_096;
/** Of these so many at once: their blobs are parsed and added in one go. */
const readAtOnce = 64;

export type SharingCounts = { told: number; heard: number; restored: number; unreadable: number; failed: number };

export class LeaseSharing implements Disposable {
  readonly #state: TrackerState;
  readonly #trouble: (why: string) => void;
  readonly #self = randomUUID();
  readonly #pending = new Pending();
  readonly #unread = new Set<string>();
  /** Being read: what is heard of one meanwhile is newer. */
  readonly #reading = new Set<string>();
  readonly #begun = Promise.withResolvers<void>();
  readonly counts: SharingCounts = { told: 0, heard: 0, restored: 0, unreadable: 0, failed: 0 };
  #link: RedisLink | undefined = undefined;
  #timer: NodeJS.Timeout | undefined = undefined;
  #busy = false;
  #scanning = false;
  #echoDueMs = Number.POSITIVE_INFINITY;

  private constructor(state: TrackerState, onTrouble: (why: string) => void) {
    this.#state = state;
    this.#trouble = onTrouble;
  }

  static async open(
    settings: RedisSettings,
    state: TrackerState,
    onTrouble: (why: string) => void,
  ): Promise<LeaseSharing> {
    const sharing = new LeaseSharing(state, onTrouble);
    sharing.#link = await RedisLink.open(settings, {
      onMessage: (text) => sharing.#hear(text),
      onReady: () => void sharing.#restore(),
      onTrouble: (why) => sharing.#failed(why),
    });
    return sharing;
  }

  /** Until what was kept is known here, and no longer than so. */
  async restored(withinMs: number): Promise<void> {
    const timer = setTimeout(this.#begun.resolve, withinMs);
    await this.#begun.promise;
    clearTimeout(timer);
  }

  get up(): boolean {
    return this.#link?.up === true;
  }

  /** A node announced this here; `agreed`: it counts its leases as we do. */
  told({ self, entries, reset = false }: AnnounceRequest, client: string | undefined, agreed: boolean): void {
    const held = this.#state.handout.heldBy(self.node);
    if (held < 0 || !this.up) return;
    this.#pending.add({ self, client: client ?? self.node, held, reset, entries, agreed });
    this.#reading.delete(self.node);
    this.#soon();
  }

  left(node: string): void {
    if (!this.up) return;
    this.#pending.leave(node);
    this.#soon();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#link?.[Symbol.dispose]();
    this.#link = undefined;
  }

  #soon(): void {
    if (this.#timer !== undefined || this.#busy || this.#link === undefined) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#flush();
    }, batchMs);
  }

  async #flush(): Promise<void> {
    const link = this.#link;
    if (link === undefined) return;
    this.#busy = true;
    try {
      while (link.up && !this.#pending.empty) await this.#tell(link);
      while (link.up && this.#unread.size > 0) await this.#readSome(link);
    } catch (error) {
      this.#failed((error as Error).message);
    } finally {
      this.#busy = false;
      if (!link.up) this.#pending.clear();
      if (!this.#pending.empty || this.#unread.size > 0) this.#soon();
    }
  }

  async #tell(link: RedisLink): Promise<void> {
    const { news, left } = this.#pending.take();
    const nowMs = performance.now();
    if (nowMs > this.#echoDueMs) {
      this.#echoDueMs = Number.POSITIVE_INFINITY;
      link.listenAnew();
    } else if (this.#echoDueMs === Number.POSITIVE_INFINITY) this.#echoDueMs = nowMs + echoMsMax;
    const said: ToldNews = { from: this.#self, news, left };
    const kept = await link.write({ news, left, message: JSON.stringify(said) });
    this.counts.told += news.length;
    const wrong = news.filter((one) => one.agreed && kept.get(one.self.node) !== one.held);
    if (wrong.length > 0) await this.#writeWhole(link, wrong);
  }

  /** What is kept of them is not what they have: others read it anew when they hear of them. */
  async #writeWhole(link: RedisLink, wrong: readonly NodeHeard[]): Promise<void> {
    for (const one of wrong) {
      const entries = this.#state.handout.leasesOf(one.self.node);
      await link.write({ news: [{ ...one, reset: true, held: entries.length, entries }], left: [] });
    }
  }

  #hear(text: string | undefined): void {
    const said = text === undefined ? undefined : readTold(text);
    if (said === undefined) {
      this.counts.unreadable++;
      return this.#trouble('a message that is none of a tracker');
    }
    if (said.from === this.#self) {
      this.#echoDueMs = Number.POSITIVE_INFINITY;
      return;
    }
    for (const one of said.news) {
      this.counts.heard++;
      this.#reading.delete(one.self.node);
      if (this.#apply(one) !== one.held) this.#read(one.self.node);
    }
    for (const node of said.left) this.#state.tell({ kind: 'leave', node });
  }

  /** The leases that the node has here then. */
  #apply({ self, client, reset, entries }: NodeNews): number {
    this.#state.tell({ kind: 'announce', request: { self, entries, reset }, client });
    return this.#state.handout.heldBy(self.node);
  }

  #read(node: string): void {
    if (this.#unread.size >= unreadMax) return;
    this.#unread.add(node);
    this.#soon();
  }

  async #readSome(link: RedisLink): Promise<void> {
    const nodes = [...this.#unread.values().take(readAtOnce)];
    for (const node of nodes) {
      this.#unread.delete(node);
      this.#reading.add(node);
    }
    try {
      for (const [node, hash] of await link.read(nodes)) {
        const news = hash === undefined ? undefined : readNode(node, hash);
        if (news === undefined) this.counts.unreadable++;
        else if (this.#reading.has(node)) {
          this.#apply(news);
          this.counts.restored++;
        }
      }
    } finally {
      for (const node of nodes) this.#reading.delete(node);
    }
  }

  /** Nodes that are kept and not known here: after a start, and whenever something may have been missed. */
  async #restore(): Promise<void> {
    const link = this.#link;
    if (link === undefined || this.#scanning) return;
    this.#scanning = true;
    try {
      let cursor = '0';
      do {
        const step = await link.scan(cursor);
        cursor = step.cursor;
        for (const node of step.nodes) if (this.#state.handout.heldBy(node) < 0) this.#unread.add(node);
        while (this.#unread.size > 0) await this.#readSome(link);
      } while (cursor !== '0');
      this.#begun.resolve();
    } catch (error) {
      this.#failed((error as Error).message);
    } finally {
      this.#scanning = false;
    }
  }

  #failed(why: string): void {
    if (this.#link === undefined) return;
    this.counts.failed++;
    this.#trouble(why);
  }
}
