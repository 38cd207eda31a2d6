/**
 * Pieces that the swarm told us to send: lent from memory, or read from the disk into slots of the send
 * share, then handed to their link.
 *
 * Rule 1: links take turns, each in its own order, so that one does not starve another.
 * Rule 2: a link holds a bounded part of the send share, and one piece always.
 * Rule 3: one slot is waited for at a time; while memory is full nobody overtakes.
 * Rule 4: a feed ends in exactly one of: its piece is written, Missing is sent, its link is gone.
 */

import type { Message, Missing } from '../../core/wire/messages.ts';
import type { PieceMemory, Slot } from '../workers/arena.ts';
import { sendShareOfLink } from './limits.ts';
import type { OutPiece } from './links/outbox.ts';

/** What this file needs of a Link. */
export type FeedLink = {
  send(message: Message): void;
  feed(piece: OutPiece): void;
  unfeed(grant: number): boolean;
};

export type Feed<L extends FeedLink = FeedLink> = {
  readonly link: L;
  readonly grant: number;
  readonly swarm: number;
  readonly blob: number;
  readonly piece: number;
  readonly length: number;
};

export type FeedsHost<L extends FeedLink = FeedLink> = {
  readonly arena: PieceMemory;
  /** The piece from memory, on the send share: where it came just now. */
  lend?(feed: Feed<L>): Slot | undefined;
  /** Reads the piece and checks it. 'gone': the blob is not ours any more. */
  read(feed: Feed<L>, slot: Slot): Promise<'ok' | 'corrupt' | 'failed' | 'gone'>;
  /** It could not be read; Missing has been sent. */
  unreadable(feed: Feed<L>): void;
  sent(feed: Feed<L>): void;
  /** The send share cannot hold it: a matter of configuration. Missing has been sent. */
  noMemory(feed: Feed<L>, error: unknown): void;
};

/** `reading`: from the disk, or waiting for a slot. */
type Taken<L extends FeedLink> = { readonly feed: Feed<L>; wanted: boolean };
type Queue<L extends FeedLink> = { readonly waiting: Feed<L>[]; readonly reading: Set<Taken<L>>; bytesHeld: number };

export class Feeds<L extends FeedLink = FeedLink> {
  readonly #host: FeedsHost<L>;
  /** In the order of their turns. */
  readonly #queues = new Map<L, Queue<L>>();
  readonly #ending = new AbortController();
  readonly #reads = new Set<Promise<void>>();
  #pumping = false;

  constructor(host: FeedsHost<L>) {
    this.#host = host;
  }

  add(feed: Feed<L>): void {
    const queue = this.#queues.get(feed.link) ?? { waiting: [], reading: new Set<Taken<L>>(), bytesHeld: 0 };
    queue.waiting.push(feed);
    this.#queues.set(feed.link, queue);
    void this.#pump();
  }

  /** Do not send it, if its header is not out: sends Missing instead. */
  cancel(link: L, grant: number): void {
    const queue = this.#queues.get(link);
    const at = queue?.waiting.findIndex((f) => f.grant === grant) ?? -1;
    const [waiting] = at < 0 ? [] : (queue?.waiting.splice(at, 1) ?? []);
    if (waiting !== undefined) return link.send(missing(waiting));
    for (const taken of queue?.reading ?? []) {
      // Its read goes on; `#send` says Missing when it ends.
      if (taken.feed.grant === grant) taken.wanted = false;
    }
    link.unfeed(grant);
  }

  /** The link is gone: nothing is sent any more. */
  drop(link: L): void {
    const queue = this.#queues.get(link);
    if (queue === undefined) return;
    queue.waiting.length = 0;
    for (const taken of queue.reading) taken.wanted = false;
    this.#queues.delete(link);
  }

  /** Waits for reads that a worker has begun. */
  async close(): Promise<void> {
    this.#ending.abort();
    for (const link of [...this.#queues.keys()]) this.drop(link);
    await Promise.all(this.#reads);
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (let taken = this.#next(); taken !== undefined; taken = this.#next()) {
        const lent = this.#host.lend?.(taken.feed);
        if (lent !== undefined) {
          this.#ready(taken, lent, 'ok');
          continue;
        }
        const slot = await this.#slot(taken.feed);
        if (slot === undefined) {
          this.#giveUp(taken);
          continue;
        }
        const read = this.#send(taken, slot);
        this.#reads.add(read);
        void read.finally(() => this.#reads.delete(read));
      }
    } finally {
      this.#pumping = false;
    }
  }

  /** The next link's first feed that its share has room for; the link goes to the end of the row. */
  #next(): Taken<L> | undefined {
    const share = this.#host.arena.shareBytes('send') * sendShareOfLink;
    for (const [link, queue] of this.#queues) {
      const feed = queue.waiting[0];
      if (feed === undefined || (queue.bytesHeld > 0 && queue.bytesHeld + feed.length > share)) continue;
      queue.waiting.shift();
      const taken: Taken<L> = { feed, wanted: true };
      queue.reading.add(taken);
      queue.bytesHeld += feed.length;
      this.#queues.delete(link);
      this.#queues.set(link, queue);
      return taken;
    }
    return undefined;
  }

  async #slot(feed: Feed<L>): Promise<Slot | undefined> {
    const slot = this.#host.arena.tryAcquire('send', feed.length);
    if (slot !== undefined) return slot;
    try {
      return await this.#host.arena.acquire('send', feed.length, this.#ending.signal);
    } catch (error) {
      if (!this.#ending.signal.aborted) this.#host.noMemory(feed, error);
      return undefined;
    }
  }

  /** There is no slot for it and will be none. */
  #giveUp(taken: Taken<L>): void {
    const { feed } = taken;
    const queue = this.#queues.get(feed.link);
    queue?.reading.delete(taken);
    if (queue !== undefined) queue.bytesHeld -= feed.length;
    feed.link.send(missing(feed));
  }

  async #send(taken: Taken<L>, slot: Slot): Promise<void> {
    this.#ready(taken, slot, taken.wanted ? await this.#host.read(taken.feed, slot) : 'ok');
  }

  /** The slot has the piece, where `verdict` is ok. */
  #ready(taken: Taken<L>, slot: Slot, verdict: 'ok' | 'corrupt' | 'failed' | 'gone'): void {
    const { feed } = taken;
    const queue = this.#queues.get(feed.link);
    queue?.reading.delete(taken);
    const free = (): void => {
      slot.release();
      if (queue !== undefined) queue.bytesHeld -= feed.length;
      void this.#pump();
    };
    if (verdict === 'ok' && taken.wanted) {
      const { grant, swarm, piece, length } = feed;
      feed.link.feed({
        header: { kind: 'piece', grant, swarm, piece, length },
        slot,
        done: (end) => {
          free();
          if (end === 'sent') this.#host.sent(feed);
          else if (end === 'unfed') feed.link.send(missing(feed));
        },
      });
      return;
    }
    free();
    feed.link.send(missing(feed));
    if (verdict === 'corrupt' || verdict === 'failed') this.#host.unreadable(feed);
  }
}

function missing(feed: Omit<Feed, 'link'>): Missing {
  return { kind: 'missing', grant: feed.grant, swarm: feed.swarm, piece: feed.piece };
}
