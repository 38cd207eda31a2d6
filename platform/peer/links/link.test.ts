/** Two ends of a link over a real socket on loopback: what one end sends the other hears; what stands still ends. */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { PeerFault } from '../../../core/assert.ts';
import { unitBytes } from '../../../core/piece.ts';
import { greetingMs } from '../../../core/swarm/limits.ts';
import type { Message, PeerAddress, Piece } from '../../../core/wire/messages.ts';
import { realClock } from '../../net/clock.ts';
import type { Incoming } from '../../net/net.ts';
import { tcp } from '../../net/tcp.ts';
import { Arena, type Slot } from '../../workers/arena.ts';
import { closingMs, controlBytesMax, patience, stalledMs } from '../limits.ts';
import { type LinkHost, PeerLink } from './link.ts';

const hello: Message = {
  kind: 'hello',
  version: 1,
  features: 0,
  cluster: 'test',
  self: { node: '0'.repeat(32), host: '127.0.0.1', port: 1, role: 'agent', zone: '' },
};
const open: AsyncDisposable[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one[Symbol.asyncDispose]();
});

/** A host that notes what it is told. Time is what the test says. */
class Notes implements LinkHost {
  readonly arena = new Arena(32 * unitBytes);
  readonly said: string[] = [];
  readonly messages: Message[] = [];
  readonly pieces: Buffer[] = [];
  accepts: 'take' | 'skip' | 'refuse' = 'take';
  readonly patience = patience;
  readonly net = tcp;
  readonly clock = realClock;
  connected(): void {
    this.said.push('connected');
  }
  closed(_link: PeerLink, why: string): void {
    this.said.push(`closed: ${why}`);
  }
  slow(_link: PeerLink, why: string): void {
    this.said.push(`slow: ${why}`);
  }
  fault(_link: PeerLink, reason: string): void {
    this.said.push(`fault: ${reason}`);
  }
  gone(): void {
    this.said.push('gone');
  }
  message(_link: PeerLink, message: Message): void {
    this.messages.push(message);
  }
  wants(): 'take' | 'skip' {
    if (this.accepts === 'refuse') throw new PeerFault('piece: not asked for');
    return this.accepts;
  }
  tryAcquire(bytes: number): Slot | undefined {
    return this.arena.tryAcquire('receive', bytes);
  }
  acquire(bytes: number, signal: AbortSignal): Promise<Slot> {
    return this.arena.acquire('receive', bytes, signal);
  }
  progress(): void {}
  skipped(): void {}
  arrived(_link: PeerLink, _piece: Piece, slot: Slot): void {
    this.pieces.push(Buffer.concat(slot.parts()));
    slot.release();
  }
}

type Pair = { readonly puller: PeerLink; readonly feeder: PeerLink; readonly pulls: Notes; readonly feeds: Notes };

async function listening(): Promise<{ server: Server; peer: PeerAddress }> {
  const server = createServer({ noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  open.push({
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
  const { port } = server.address() as AddressInfo;
  return { server, peer: { node: '1'.repeat(32), host: '127.0.0.1', port, role: 'agent', zone: '' } };
}

/** A link to another one; neither has said anything. */
async function dialled(pulls: Notes): Promise<Pair> {
  const feeds = new Notes();
  const { promise, resolve } = Promise.withResolvers<PeerLink>();
  const accept = (incoming: Incoming): void => resolve(PeerLink.accept(1, incoming, feeds));
  const listener = await tcp.listen({ host: '127.0.0.1', port: 0 }, { accept, failed: () => undefined });
  const { port } = listener;
  const puller = PeerLink.dial(2, { node: '1'.repeat(32), host: '127.0.0.1', port, role: 'agent', zone: '' }, pulls);
  const feeder = await promise;
  void listener.close();
  return { puller, feeder, pulls, feeds };
}

async function pair(): Promise<Pair> {
  const pulls = new Notes();
  const { puller, feeder, feeds } = await dialled(pulls);
  open.unshift({
    async [Symbol.asyncDispose]() {
      puller.destroy();
      feeder.destroy();
    },
  });
  puller.send(hello);
  feeder.send(hello);
  await until(() => puller.peer !== undefined && feeder.peer !== undefined);
  return { puller, feeder, pulls, feeds };
}

async function until(ok: () => boolean): Promise<void> {
  while (!ok()) await new Promise((resolve) => setTimeout(resolve, 2));
}

function piece(arena: Arena, index: number, length: number): { header: Piece; slot: Slot } {
  const slot = arena.tryAcquire('send', length) as Slot;
  for (const part of slot.parts()) part.fill(index);
  return { header: { kind: 'piece', grant: index, swarm: 0, piece: index, length }, slot };
}

test('greets, talks both ways, and carries pieces between control frames', async () => {
  const { puller, feeder, pulls, feeds } = await pair();
  const ends: string[] = [];
  for (let i = 0; i < 3; i++) {
    const { header, slot } = piece(feeds.arena, i, unitBytes + 5 * i + 1);
    feeder.send({ kind: 'grant', grant: i, swarm: 0, piece: i });
    feeder.feed({ header, slot, done: (end) => { ends.push(end); slot.release(); } }); // biome-ignore format: one line
  }
  puller.send({ kind: 'cancel', swarm: 0, piece: 7 });
  await until(() => pulls.pieces.length === 3 && feeds.messages.length === 2);
  expect(ends).toEqual(['sent', 'sent', 'sent']);
  expect(pulls.pieces.map((p) => p.length)).toEqual([unitBytes + 1, unitBytes + 6, unitBytes + 11]);
  for (const [i, bytes] of pulls.pieces.entries()) expect(bytes.every((byte) => byte === i)).toBe(true);
  expect(feeds.messages[1]).toEqual({ kind: 'cancel', swarm: 0, piece: 7 });
  expect(feeds.arena.freeBytes('send')).toBe(feeds.arena.shareBytes('send'));
});

test('without a free slot nothing is read until there is one', async () => {
  const { feeder, pulls, feeds } = await pair();
  const all = pulls.arena.tryAcquire('receive', pulls.arena.shareBytes('receive')) as Slot;
  const { header, slot } = piece(feeds.arena, 9, 3 * unitBytes);
  feeder.feed({ header, slot, done: () => slot.release() });
  await new Promise((resolve) => setTimeout(resolve, 50));
  feeder.send({ kind: 'revoke', swarm: 0 });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(pulls.pieces).toEqual([]);
  expect(pulls.messages.length).toBe(1);
  all.release();
  await until(() => pulls.messages.length === 2);
  expect(pulls.pieces[0]?.length).toBe(3 * unitBytes);
  expect(pulls.pieces[0]?.every((byte) => byte === 9)).toBe(true);
});

test('a piece that was not asked for is a fault, told once, and ends the link', async () => {
  const { puller, feeder, pulls, feeds } = await pair();
  pulls.accepts = 'refuse';
  const { header, slot } = piece(feeds.arena, 1, 100);
  feeder.feed({ header, slot, done: () => slot.release() });
  await until(() => puller.state === 'gone' && feeder.state === 'gone');
  expect(pulls.said).toEqual(['connected', 'gone', 'fault: piece: not asked for']);
  expect(feeds.said.length).toBe(2);
  expect(feeds.said[1]).toMatch(/^closed: /);
});

test('a message before Hello, a second Hello, and noise are faults', async () => {
  for (const bytes of [[{ ...hello }, hello], [{ kind: 'grant', grant: 1, swarm: 0, piece: -1 } as Message]]) {
    const pulls = new Notes();
    const { puller, feeder } = await dialled(pulls);
    for (const message of bytes) feeder.send(message);
    await until(() => puller.state === 'gone');
    expect(pulls.said.at(-1)).toMatch(/^fault: hello: /);
    feeder.destroy();
  }
  const { server, peer } = await listening();
  server.on('connection', (socket) => socket.write(Buffer.alloc(100, 0xff)));
  const pulls = new Notes();
  const puller = PeerLink.dial(2, peer, pulls);
  await until(() => puller.state === 'gone');
  expect(pulls.said.at(-1)).toBe('fault: frame: type unknown');
});

test('what was sent before a close arrives, and the link that closed it hears nothing of it', async () => {
  const { puller, feeder, pulls, feeds } = await pair();
  feeder.send({ kind: 'goodbye', reason: 'shutdown' });
  feeder.close();
  await until(() => puller.state === 'gone' && feeder.state === 'gone');
  expect(pulls.messages.at(-1)).toEqual({ kind: 'goodbye', reason: 'shutdown' });
  expect(pulls.said).toEqual(['connected', 'gone', 'closed: closed by the peer']);
  expect(feeds.said).toEqual(['gone']);
});

test('the puller closes in mid-piece: its slot is free, its goodbye arrives', async () => {
  const { puller, feeder, pulls, feeds } = await pair();
  const { header, slot } = piece(feeds.arena, 1, 2 * unitBytes);
  // Half a piece by hand: the header says more than ever comes.
  feeder.feed({ header: { ...header, length: 4 * unitBytes }, slot, done: () => slot.release() });
  await until(() => pulls.arena.freeBytes('receive') < pulls.arena.shareBytes('receive'));
  puller.send({ kind: 'goodbye', reason: 'idle' });
  puller.close();
  expect(pulls.arena.freeBytes('receive')).toBe(pulls.arena.shareBytes('receive'));
  await until(() => puller.state === 'gone' && feeder.state === 'gone');
  expect(feeds.messages.at(-1)).toEqual({ kind: 'goodbye', reason: 'idle' });
});

test('no hello, a stalled piece and a peer that does not read end the link', async () => {
  const { server, peer } = await listening();
  server.on('connection', () => undefined);
  const silent = new Notes();
  const waiting = PeerLink.dial(2, peer, silent);
  await until(() => waiting.state === 'greeting');
  waiting.sweep(silent.clock.nowMs() + greetingMs - 100);
  expect(waiting.state).toBe('greeting');
  waiting.sweep(silent.clock.nowMs() + greetingMs + 100);
  expect(silent.said.at(-1)).toBe('slow: no hello');

  const { puller, feeder, pulls, feeds } = await pair();
  const { header, slot } = piece(feeds.arena, 1, unitBytes);
  feeder.feed({ header: { ...header, length: 4 * unitBytes }, slot, done: () => slot.release() });
  await until(() => pulls.arena.freeBytes('receive') < pulls.arena.shareBytes('receive'));
  puller.sweep(pulls.clock.nowMs() + stalledMs + 1000);
  expect(pulls.said.at(-1)).toBe('slow: piece stalled');
  expect(pulls.arena.freeBytes('receive')).toBe(pulls.arena.shareBytes('receive'));
});

test('control frames for a peer that does not read are bounded', async () => {
  const { server, peer } = await listening();
  server.on('connection', (socket) => socket.pause());
  const notes = new Notes();
  const link = PeerLink.dial(2, peer, notes);
  await until(() => link.state === 'greeting');
  const hashes: Message = { kind: 'hashes', swarm: 0, from: 0, total: 2048, hashes: new Uint8Array(65536) };
  for (let i = 0; i < controlBytesMax / 65536 + 1 && link.state !== 'gone'; i++) link.send(hashes);
  expect(notes.said.at(-1)).toBe('slow: does not read');
});

test('a close that cannot finish ends after a while; no one listening is a close', async () => {
  const { puller, pulls } = await pair();
  puller.close();
  puller.sweep(pulls.clock.nowMs() + closingMs + 1);
  expect(puller.state).toBe('gone');
  const { server, peer } = await listening();
  server.close();
  const notes = new Notes();
  const refused = PeerLink.dial(4, peer, notes);
  await until(() => refused.state === 'gone');
  expect(notes.said.at(-1)).toMatch(/^closed: .*ECONNREFUSED/);
});
