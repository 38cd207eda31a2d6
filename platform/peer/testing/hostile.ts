/**
 * A peer that breaks the rules over real TCP: says what a script tells it to, byte by byte where it must.
 *
 * Rule 1: it knows nothing of core/swarm; only the codec is ours, and frames that the codec would refuse are made by hand.
 * Rule 2: everything that it starts (sockets, timers) ends with its connection or with `close`.
 */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Digest } from '../../../core/digest.ts';
import { hashBytes, type Metainfo, pieceBytes, pieceCount } from '../../../core/piece.ts';
import { Decoder } from '../../../core/wire/decode.ts';
import { encode } from '../../../core/wire/encode.ts';
import { FRAMES, type Kind, type Side } from '../../../core/wire/frames.ts';
import { frameHeaderBytes, protocolVersion } from '../../../core/wire/limits.ts';
import type { Message, PeerAddress } from '../../../core/wire/messages.ts';

/** The blob that it lies about, as any peer of the cluster may know it. */
export type Prey = {
  readonly cluster: string;
  readonly digest: Digest;
  readonly meta: Metainfo;
  readonly hashes: Uint8Array;
  /** The right bytes of a piece, where an attack needs some. */
  readonly bytes: (piece: number) => Uint8Array;
};

type On = { [K in Kind]?: (message: Extract<Message, { kind: K }>) => void };
export type Attack = {
  readonly name: string;
  /** What the hostile side plays: a feeder is dialled by its victim, a puller dials it. */
  readonly side: Side;
  /** Of the counter that must move, and its label. */
  readonly counted: 'fault' | 'slow';
  readonly reason: RegExp;
  readonly play: (wire: Wire) => void;
};

/** One connection of the hostile peer. */
export class Wire {
  readonly prey: Prey;
  readonly self: PeerAddress;
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  readonly #decoder: Decoder;
  readonly #timers = new Set<NodeJS.Timeout>();
  #on: On = {};

  constructor(socket: Socket, o: { readonly prey: Prey; readonly self: PeerAddress; readonly side: Side }) {
    this.prey = o.prey;
    this.self = o.self;
    this.#socket = socket;
    this.#decoder = new Decoder(o.side === 'feeder' ? 'puller' : 'feeder');
    const done = Promise.withResolvers<void>();
    this.closed = done.promise;
    // The victim resets what it has had enough of.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      for (const timer of this.#timers) clearInterval(timer);
      done.resolve();
    });
    socket.on('data', (chunk: Buffer) => this.#heard(chunk));
  }

  get open(): boolean {
    return !this.#socket.destroyed && !this.#socket.writableEnded;
  }

  get pieces(): number {
    return pieceCount(this.prey.meta);
  }

  lengthOf(piece: number): number {
    return pieceBytes(this.prey.meta, piece);
  }

  on(handlers: On): void {
    this.#on = { ...this.#on, ...handlers };
  }

  say(...messages: Message[]): void {
    this.raw(Buffer.concat(messages.map((message) => encode(message))));
  }

  raw(bytes: Uint8Array): void {
    if (this.open) this.#socket.write(bytes);
  }

  hello(features = 0): void {
    const { self, prey } = this;
    this.say({ kind: 'hello', version: protocolVersion, features, cluster: prey.cluster, self });
  }

  /** A frame by hand: whatever the codec thinks of it. */
  frame(kind: Kind, o: { length?: number; flags?: number; swarm?: number; body?: Uint8Array } = {}): void {
    const { body = new Uint8Array(0), flags = 0, swarm = 0, length = body.length } = o;
    const header = Buffer.alloc(frameHeaderBytes);
    header.writeUInt32LE(length, 0);
    header[4] = FRAMES[kind].type;
    header[5] = flags;
    header.writeUInt16LE(swarm, 6);
    this.raw(Buffer.concat([header, body]));
  }

  /** Says that it has everything, with the list where it is asked for. */
  opened(swarm: number, needHashes: boolean): void {
    const { meta, hashes } = this.prey;
    this.say({ kind: 'opened', swarm, meta, all: true, growing: false, have: new Uint8Array(0) });
    if (needHashes) this.say({ kind: 'hashes', swarm, from: 0, total: hashes.length / hashBytes, hashes });
  }

  /** The header of a piece and whatever bytes. */
  piece(grant: number, swarm: number, piece: number, bytes: Uint8Array): void {
    this.say({ kind: 'piece', grant, swarm, piece, length: bytes.length });
    this.raw(bytes);
  }

  /** Reads no more; only a write that fails tells it of the end. */
  deaf(still: Message): void {
    this.#socket.pause();
    this.every(100, () => this.say(still));
  }

  every(ms: number, act: () => void): void {
    this.#timers.add(setInterval(act, ms));
  }

  /** A byte of `bytes` each `ms`. */
  dribble(bytes: Uint8Array, ms: number): void {
    let at = 0;
    this.every(ms, () => {
      if (at < bytes.length) this.raw(bytes.subarray(at, ++at));
    });
  }

  end(): void {
    this.#socket.destroy();
  }

  #heard(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && this.open; ) {
      at = this.#decoder.push(chunk, at);
      const message = this.#decoder.take();
      if (message === undefined) continue;
      (this.#on[message.kind] as ((message: Message) => void) | undefined)?.(message);
      // Payload is no frame; nothing that an attack does needs it.
      if (message.kind === 'piece') return this.#skip(message.length - (chunk.length - at), chunk.subarray(at));
    }
  }

  /** Lets the rest of a piece pass by; then frames again. */
  #skip(left: number, chunk: Uint8Array): void {
    if (left <= 0) return this.#heard(Buffer.from(chunk.subarray(chunk.length + left)));
    this.#socket.removeAllListeners('data');
    let missing = left;
    this.#socket.on('data', (more: Buffer) => {
      missing -= more.length;
      if (missing > 0) return;
      this.#socket.removeAllListeners('data');
      this.#socket.on('data', (frames: Buffer) => this.#heard(frames));
      if (missing < 0) this.#heard(more.subarray(more.length + missing));
    });
  }
}

export type HostilePeer = AsyncDisposable & {
  readonly self: PeerAddress;
  /** Every connection so far, the latest last. */
  readonly wires: readonly Wire[];
};

/** A feeder that waits to be dialled; somebody must hand out its address. Another identity each time. */
export async function hostileFeeder(attack: Attack, prey: Prey, host = '127.0.0.1'): Promise<HostilePeer> {
  const wires: Wire[] = [];
  const server = createServer();
  server.listen(0, host);
  await once(server, 'listening');
  const self = identity(host, (server.address() as AddressInfo).port);
  server.on('connection', (socket) => {
    const wire = new Wire(socket, { prey, self, side: 'feeder' });
    wires.push(wire);
    attack.play(wire);
  });
  return {
    self,
    wires,
    async [Symbol.asyncDispose]() {
      for (const wire of wires) wire.end();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A puller that dials `victim` at once. `port` of its own address 0: cannot be dialled back. */
export function hostilePuller(attack: Attack, prey: Prey, victim: { host: string; port: number }): HostilePeer {
  const self = identity('127.0.0.1', 0);
  const wire = new Wire(connect(victim), { prey, self, side: 'puller' });
  attack.play(wire);
  return {
    self,
    wires: [wire],
    async [Symbol.asyncDispose]() {
      wire.end();
      await wire.closed;
    },
  };
}

function identity(host: string, port: number): PeerAddress {
  return { node: randomBytes(16).toString('hex'), host, port, role: 'agent', zone: '' };
}
