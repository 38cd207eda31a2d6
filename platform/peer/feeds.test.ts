/** The order in which pieces are read and handed to their links, with real memory and links that only take notes. */

import { expect, test } from 'vitest';
import { unitBytes } from '../../core/piece.ts';
import type { Message } from '../../core/wire/messages.ts';
import { Arena } from '../workers/arena.ts';
import { type Feed, type FeedLink, Feeds, type FeedsHost } from './feeds.ts';
import type { OutPiece } from './links/outbox.ts';

/** Takes pieces and keeps them until the test lets them go. */
class TestLink implements FeedLink {
  readonly name: string;
  readonly order: string[];
  readonly said: Message[] = [];
  readonly held: OutPiece[] = [];
  constructor(name: string, order: string[]) {
    this.name = name;
    this.order = order;
  }
  send(message: Message): void {
    this.said.push(message);
  }
  feed(piece: OutPiece): void {
    this.order.push(`${this.name}${piece.header.piece}`);
    this.held.push(piece);
  }
  unfeed(grant: number): boolean {
    const at = this.held.findIndex((p) => p.header.grant === grant);
    if (at < 0) return false;
    this.held.splice(at, 1)[0]?.done('unfed');
    return true;
  }
  /** The kernel has taken everything so far. */
  flush(): void {
    for (const piece of this.held.splice(0)) piece.done('sent');
  }
}

/** A send share of four units: one link may hold one of them, or one piece. */
function scene(read: FeedsHost['read'] = async () => 'ok', lend: FeedsHost['lend'] = () => undefined) {
  const arena = new Arena(16 * unitBytes, { receive: 0.25, send: 0.25, reader: 0.25 });
  const unreadable: number[] = [];
  const sent: number[] = [];
  const noMemory: unknown[] = [];
  const feeds = new Feeds({
    arena,
    read,
    lend,
    unreadable: (feed) => unreadable.push(feed.piece),
    sent: (feed) => sent.push(feed.piece),
    noMemory: (_feed, error) => noMemory.push(error),
  });
  return { arena, feeds, unreadable, sent, noMemory, order: [] as string[] };
}

function feed(link: FeedLink, piece: number, length = unitBytes): Feed {
  return { link, grant: piece, swarm: 1, blob: 0, piece, length };
}

async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

test('links take turns, and one that does not read holds a bounded part', async () => {
  const { feeds, order, arena } = scene();
  const greedy = new TestLink('a', order);
  const modest = new TestLink('b', order);
  for (let piece = 0; piece < 6; piece++) feeds.add(feed(greedy, piece));
  for (let piece = 0; piece < 2; piece++) feeds.add(feed(modest, piece));
  await settled();
  expect(order).toEqual(['a0', 'b0']);
  expect(arena.freeBytes('send')).toBe(2 * unitBytes);
  modest.flush();
  await settled();
  expect(order).toEqual(['a0', 'b0', 'b1']);
  for (let i = 0; i < 6; i++) {
    greedy.flush();
    modest.flush();
    await settled();
  }
  expect(order).toEqual(['a0', 'b0', 'b1', 'a1', 'a2', 'a3', 'a4', 'a5']);
  expect(arena.freeBytes('send')).toBe(arena.shareBytes('send'));
});

test('a cancelled feed ends in Missing: while it waits, while it is read, while it waits to be written', async () => {
  let release: (() => void) | undefined;
  const reading = new Promise<void>((resolve) => (release = resolve)); // biome-ignore format: one line
  const { feeds, order, arena, sent } = scene(async () => {
    await reading;
    return 'ok';
  });
  const link = new TestLink('a', order);
  feeds.add(feed(link, 0));
  feeds.add(feed(link, 1));
  feeds.cancel(link, 1);
  expect(link.said).toEqual([{ kind: 'missing', grant: 1, swarm: 1, piece: 1 }]);
  feeds.cancel(link, 0);
  release?.();
  await settled();
  expect(link.said[1]).toEqual({ kind: 'missing', grant: 0, swarm: 1, piece: 0 });
  feeds.add(feed(link, 2));
  await settled();
  expect(order).toEqual(['a2']);
  feeds.cancel(link, 2);
  expect(link.said[2]).toEqual({ kind: 'missing', grant: 2, swarm: 1, piece: 2 });
  expect(link.said.length).toBe(3);
  expect(sent).toEqual([]);
  expect(arena.freeBytes('send')).toBe(arena.shareBytes('send'));
});

test('what cannot be read is Missing and reported, what is no longer ours is only Missing', async () => {
  const { feeds, order, unreadable, arena } = scene(async ({ piece }) =>
    piece === 0 ? 'corrupt' : piece === 1 ? 'failed' : 'gone',
  );
  const link = new TestLink('a', order);
  for (let piece = 0; piece < 3; piece++) feeds.add(feed(link, piece));
  await settled();
  expect(link.said.map((m) => m.kind)).toEqual(['missing', 'missing', 'missing']);
  expect(unreadable).toEqual([0, 1]);
  expect(arena.freeBytes('send')).toBe(arena.shareBytes('send'));
});

test('a link that is gone gives its memory back; others go on', async () => {
  const { feeds, order, arena } = scene();
  const dead = new TestLink('a', order);
  const alive = new TestLink('b', order);
  const all = arena.tryAcquire('send', arena.shareBytes('send'));
  feeds.add(feed(dead, 0));
  feeds.add(feed(dead, 1));
  feeds.add(feed(alive, 0));
  await settled();
  feeds.drop(dead);
  all?.release();
  await settled();
  expect(order).toEqual(['b0']);
  alive.flush();
  expect(arena.freeBytes('send')).toBe(arena.shareBytes('send'));
});

test('a piece larger than the send share is Missing, and reported as a matter of memory', async () => {
  const { feeds, order, noMemory } = scene();
  const link = new TestLink('a', order);
  feeds.add(feed(link, 0, 5 * unitBytes));
  feeds.add(feed(link, 1));
  await settled();
  expect(noMemory.length).toBe(1);
  expect(link.said.map((m) => m.kind)).toEqual(['missing']);
  expect(order).toEqual(['a1']);
});

test('a close waits for reads under way and gives everything back', async () => {
  const { feeds, order, arena } = scene(async () => {
    await settled();
    return 'ok';
  });
  const link = new TestLink('a', order);
  for (let piece = 0; piece < 3; piece++) feeds.add(feed(link, piece));
  await feeds.close();
  expect(order).toEqual([]);
  expect(arena.freeBytes('send')).toBe(arena.shareBytes('send'));
});

test('a piece in memory is lent and not read, and given back once it is written', async () => {
  const reads: number[] = [];
  let loans = 0;
  const lend = ({ piece, length }: { piece: number; length: number }) => {
    const slot = piece % 2 === 0 ? arena.tryAcquire('send', length) : undefined;
    if (slot === undefined) return undefined;
    loans++;
    const release = (): void => {
      loans--;
      slot.release();
    };
    return { no: slot.no, length, parts: () => slot.parts(), window: (at: number) => slot.window(at), release };
  };
  const { feeds, order, arena, sent } = scene(async ({ piece }) => {
    reads.push(piece);
    return 'ok';
  }, lend);
  const links = ['a', 'b', 'c', 'd'].map((name) => new TestLink(name, order));
  for (const [piece, link] of links.entries()) feeds.add(feed(link, piece));
  await settled();
  expect(order.sort()).toEqual(['a0', 'b1', 'c2', 'd3']);
  expect(reads).toEqual([1, 3]);
  expect(loans).toBe(2);
  for (const link of links) link.flush();
  expect(sent.sort()).toEqual([0, 1, 2, 3]);
  expect(loans).toBe(0);
  expect(arena.freeBytes('send')).toBe(arena.shareBytes('send'));
});
