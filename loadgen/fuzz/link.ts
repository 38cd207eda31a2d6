/**
 * One end of a connection of an honest node: what platform/peer/links/link.ts is over a socket, over a Conn.
 * Every control message goes through the codec both ways, in pieces of any size; what arrives at the
 * side that pulls goes through the platform's own Inflow.
 *
 * Rules as there: `closed` is told once, unless we closed it ourselves; after `close` or `destroy`
 * nothing more is told of what the peer says; PeerFault is caught here, and nothing else is.
 */

import { PeerFault } from '../../core/assert.ts';
import { Decoder } from '../../core/wire/decode.ts';
import { encode } from '../../core/wire/encode.ts';
import type { Message, PeerAddress, Piece } from '../../core/wire/messages.ts';
import { connectMs, greetingMs, lingerMs, stalledMs } from '../../platform/peer/limits.ts';
import { Inflow } from '../../platform/peer/links/inflow.ts';
import type { OutPiece } from '../../platform/peer/links/outbox.ts';
import type { Slot } from '../../platform/workers/arena.ts';
import { type Conn, type ConnSide, copyPayload, type Item, type Payload } from './conn.ts';
import type { Content } from './content.ts';
import type { World } from './world.ts';

export type Heard = Exclude<Message, { kind: 'piece' }>;

export type LinkHost = {
  readonly host: number;
  readonly world: World;
  /** Fills slots with bytes; a light node only notes what would be in them. */
  readonly real: boolean;
  connected(link: Link): void;
  closed(link: Link, why: string): void;
  fault(link: Link, reason: string): void;
  gone(link: Link): void;
  message(link: Link, message: Heard): void;
  wants(link: Link, piece: Piece): 'take' | 'skip';
  tryAcquire(bytes: number): Slot | undefined;
  acquire(bytes: number, signal: AbortSignal): Promise<Slot>;
  progress(link: Link, piece: Piece): void;
  /** `whole`: what came is this and nothing else. */
  arrived(link: Link, piece: Piece, arrival: { slot: Slot; whole: Payload | undefined }): void;
  /** The true content of what is fed; undefined: it is not known, nothing is sent. */
  contentOf(link: Link, piece: OutPiece): Content | undefined;
};

type State = 'connecting' | 'greeting' | 'active' | 'ending' | 'gone';
type Fed = { readonly piece: OutPiece; readonly header: Item; readonly payload: Item };

export class Link implements ConnSide {
  readonly no: number;
  readonly dialled: boolean;
  readonly remote: string;
  readonly honest = true;
  peer: PeerAddress | undefined;
  state: State;
  conn: Conn | undefined;
  readonly #host: LinkHost;
  readonly #inflow: Inflow | undefined;
  readonly #decoder = new Decoder('puller');
  readonly #gone = new AbortController();
  readonly #fed = new Set<Fed>();
  /** What waits for a slot. */
  readonly #waiting: Item[] = [];
  #reading = false;
  #paused = false;
  #sinceMs: number;
  #payloadMs = 0;
  #sentMs = 0;
  /** The payload that fills the present slot, if it is one from its start on. */
  #filling: { payload: Payload | undefined; bytes: number } = { payload: undefined, bytes: 0 };

  constructor(no: number, remote: string, host: LinkHost, dialled: boolean) {
    this.no = no;
    this.remote = remote;
    this.dialled = dialled;
    this.#host = host;
    this.state = dialled ? 'connecting' : 'greeting';
    this.#sinceMs = host.world.nowMs;
    if (dialled) this.#inflow = this.#makeInflow();
  }

  get host(): number {
    return this.#host.host;
  }

  get side(): 0 | 1 {
    return this.dialled ? 0 : 1;
  }

  connected(): void {
    if (this.state !== 'connecting') return;
    this.#become('greeting');
    this.#host.connected(this);
  }

  send(message: Message): void {
    if (this.conn === undefined || this.state === 'gone' || this.state === 'ending' || this.state === 'connecting')
      return;
    if (this.#host.world.trace !== undefined) this.#host.world.debug(`${this.#name()} ${brief(message)}`);
    const bytes = this.#corrupted(encode(message));
    const { world } = this.#host;
    if (bytes.length > 1 && world.once(16)) {
      const cut = 1 + world.prng.below(bytes.length - 1);
      this.conn.send(this.side, { kind: 'bytes', bytes: bytes.subarray(0, cut) });
      this.conn.send(this.side, { kind: 'bytes', bytes: bytes.subarray(cut) });
    } else this.conn.send(this.side, { kind: 'bytes', bytes });
  }

  feed(piece: OutPiece): void {
    const content = this.#host.contentOf(this, piece);
    if (this.conn === undefined || this.state === 'gone' || this.state === 'ending' || content === undefined)
      return piece.done('gone');
    const { header } = piece;
    if (this.#fed.size === 0) this.#sentMs = this.#host.world.nowMs;
    const fed: Fed = {
      piece,
      header: { kind: 'bytes', bytes: encode(header) },
      payload: {
        kind: 'payload',
        payload: {
          content,
          at: header.piece * content.meta.pieceLength,
          length: header.length,
          flip: this.#flip(header.length),
          delivered: () => this.#delivered(fed),
        },
      },
    };
    this.#fed.add(fed);
    this.conn.send(this.side, fed.header);
    this.conn.send(this.side, fed.payload);
  }

  /** Takes back a piece whose header is not out. */
  unfeed(grant: number): boolean {
    for (const fed of this.#fed) {
      if (fed.piece.header.grant !== grant) continue;
      if (this.conn?.withdraw(fed.header) !== true) return false;
      this.conn.withdraw(fed.payload);
      this.#fed.delete(fed);
      fed.piece.done('unfed');
      return true;
    }
    return false;
  }

  close(): void {
    if (this.state === 'gone' || this.state === 'ending') return;
    if (this.state === 'connecting') return this.destroy();
    this.#become('ending');
    this.#inflow?.close();
    this.conn?.send(this.side, { kind: 'end' });
  }

  destroy(): void {
    if (this.state === 'gone') return;
    this.#become('gone');
    this.conn?.reset(this.side);
    this.#release();
  }

  /** Without power: nobody hears of it. */
  vanish(): void {
    if (this.state === 'gone') return;
    this.#become('gone');
    this.conn?.vanish(this.side);
    this.#release();
  }

  sweep(nowMs: number): void {
    const ms = nowMs - this.#sinceMs;
    switch (this.state) {
      case 'connecting':
        if (ms > connectMs) this.lost('no answer to connect');
        return;
      case 'greeting':
        if (ms > greetingMs) this.lost('no hello');
        return;
      case 'active':
        if (this.#inflow?.midPiece && nowMs - this.#payloadMs > stalledMs) this.lost('piece stalled');
        else if (this.#fed.size > 0 && nowMs - this.#sentMs > stalledMs) this.lost('does not read');
        return;
      case 'ending':
        if (ms > lingerMs) this.destroy();
        return;
      case 'gone':
        return;
    }
  }

  lost(why: string): void {
    if (this.state === 'gone') return;
    this.destroy();
    this.#host.closed(this, why);
  }

  // ---- ConnSide --------------------------------------------------------------------------------

  received(item: Item): void {
    if (this.state !== 'greeting' && this.state !== 'active') return;
    this.#waiting.push(item);
    this.#read();
  }

  ended(why: string): void {
    if (this.state === 'ending') return this.destroy();
    this.lost(why);
  }

  // ---- in --------------------------------------------------------------------------------------

  #read(): void {
    if (this.#reading) return;
    this.#reading = true;
    this.#guard(() => {
      while (!this.#paused && (this.state === 'greeting' || this.state === 'active')) {
        const item = this.#waiting.shift();
        if (item === undefined) break;
        if (this.#inflow === undefined) this.#decode(item);
        else this.#flow(this.#inflow, item);
      }
    });
    this.#reading = false;
  }

  #decode(item: Item): void {
    const chunk = bytesOf(item);
    let at = 0;
    while (at < chunk.length && (this.state === 'greeting' || this.state === 'active')) {
      at = this.#decoder.push(chunk, at);
      const message = this.#decoder.take();
      if (message === undefined) continue;
      if (message.kind === 'piece') throw new PeerFault('piece: from the side that pulls');
      this.#heard(message);
    }
  }

  /** Gives the inflow as much as it takes; what it does not take waits. */
  #flow(inflow: Inflow, item: Item): void {
    const length = lengthOf(item);
    for (let at = 0; at < length; ) {
      const buffer = inflow.buffer();
      const bytes = Math.min(buffer.length, length - at);
      const intoSlot = inflow.midPiece && buffer.length > 0 && buffer.buffer instanceof SharedArrayBuffer;
      if (this.#host.real || !intoSlot) copyItem(item, at, buffer.subarray(0, bytes));
      if (intoSlot) this.#note(item, at, bytes);
      at += bytes;
      if (inflow.received(bytes, buffer)) continue;
      if (this.state !== 'greeting' && this.state !== 'active') return;
      this.#paused = true;
      if (at < length) this.#waiting.unshift(restOf(item, at));
      return;
    }
  }

  #note(item: Item, at: number, bytes: number): void {
    const filling = this.#filling;
    const continues = item.kind === 'payload' && (filling.bytes === 0 ? at === 0 : filling.payload === item.payload);
    filling.payload = continues ? item.payload : undefined;
    filling.bytes += bytes;
  }

  #heard(message: Heard): void {
    if (this.state === 'greeting') {
      if (message.kind === 'hello') {
        this.peer = message.self;
        this.#become('active');
      } else if (message.kind !== 'goodbye') throw new PeerFault('hello: something came before it');
    } else if (message.kind === 'hello') throw new PeerFault('hello: came twice');
    this.#host.message(this, message);
  }

  #makeInflow(): Inflow {
    const host = this.#host;
    return new Inflow({
      message: (message) => this.#heard(message),
      wants: (piece) => host.wants(this, piece),
      acquire: (bytes) => this.#acquire(bytes),
      progress: (piece) => {
        this.#payloadMs = host.world.nowMs;
        host.progress(this, piece);
      },
      arrived: (piece, slot) => {
        const { payload, bytes } = this.#filling;
        const whole = payload !== undefined && bytes === piece.length && payload.length === bytes ? payload : undefined;
        this.#filling = { payload: undefined, bytes: 0 };
        host.arrived(this, piece, { slot, whole });
      },
      skipped: () => {
        this.#payloadMs = host.world.nowMs;
      },
    });
  }

  #acquire(bytes: number): Slot | undefined {
    this.#payloadMs = this.#host.world.nowMs;
    this.#filling = { payload: undefined, bytes: 0 };
    const slot = this.#host.tryAcquire(bytes);
    if (slot === undefined) void this.#wait(bytes);
    return slot;
  }

  async #wait(bytes: number): Promise<void> {
    this.#host.world.dirty = true;
    let slot: Slot;
    try {
      slot = await this.#host.acquire(bytes, this.#gone.signal);
    } catch (error) {
      if (!this.#gone.signal.aborted) this.lost(`no memory for a piece: ${String(error)}`);
      return;
    }
    this.#payloadMs = this.#host.world.nowMs;
    const inflow = this.#inflow;
    if (inflow === undefined || this.state !== 'active') return slot.release();
    this.#paused = false;
    this.#guard(() => {
      if (!inflow.resume(slot)) this.#paused = true;
    });
    this.#read();
  }

  #guard(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof PeerFault)) throw error;
      this.destroy();
      this.#host.fault(this, error.message);
    }
  }

  // ---- out -------------------------------------------------------------------------------------

  #delivered(fed: Fed): void {
    if (!this.#fed.delete(fed)) return;
    this.#sentMs = this.#host.world.nowMs;
    this.#host.world.dirty = true;
    fed.piece.done('sent');
  }

  #release(): void {
    this.#waiting.length = 0;
    for (const { piece } of this.#fed) piece.done('gone');
    this.#fed.clear();
    this.#inflow?.close();
    this.#gone.abort();
    this.#host.gone(this);
    this.#host.world.dirty = true;
  }

  /** Who says something to whom, for the trace. */
  #name(): string {
    return `h${this.host} ${this.dialled ? '=>' : '->'} h${this.conn?.sides[1 - this.side]?.host}`;
  }

  #become(state: State): void {
    this.state = state;
    this.#sinceMs = this.#host.world.nowMs;
  }

  /** A bit flips on the wire, rarely. */
  #corrupted(bytes: Uint8Array): Uint8Array {
    const { world } = this.#host;
    if (world.faultsOver || !world.once(30_000)) return bytes;
    this.#taint('a bit of a control frame flips');
    const flipped = bytes.slice();
    const at = world.prng.below(flipped.length);
    flipped[at] = (flipped[at] as number) ^ (1 << world.prng.below(8));
    return flipped;
  }

  #flip(length: number): number {
    const { world } = this.#host;
    if (world.faultsOver || !world.once(400)) return -1;
    this.#taint('a bit of a piece flips on the wire');
    return world.prng.below(length);
  }

  #taint(fault: string): void {
    this.conn?.taint();
    this.#host.world.fault(fault);
  }
}

function brief(message: Message): string {
  return JSON.stringify(message, (_, value: unknown) =>
    value instanceof Uint8Array ? `${value.length} bytes` : value,
  ).slice(0, 300);
}

function lengthOf(item: Item): number {
  return item.kind === 'bytes' ? item.bytes.length : item.kind === 'payload' ? item.payload.length : 0;
}

function copyItem(item: Item, from: number, into: Uint8Array): void {
  if (item.kind === 'bytes') into.set(item.bytes.subarray(from, from + into.length));
  else if (item.kind === 'payload') copyPayload(item.payload, from, into);
}

function bytesOf(item: Item): Uint8Array {
  if (item.kind === 'bytes') return item.bytes;
  const bytes = new Uint8Array(lengthOf(item));
  copyItem(item, 0, bytes);
  return bytes;
}

function restOf(item: Item, from: number): Item {
  const bytes = new Uint8Array(lengthOf(item) - from);
  copyItem(item, from, bytes);
  return { kind: 'bytes', bytes };
}
