/**
 * A connection between two processes, as TCP gives it: bytes in order, or none any more.
 *
 * A partition holds what is under way; when it ends, the connection goes on or turns out to be dead.
 * Bits may flip on the wire (checksums miss some): such a connection is `tainted`, for whatever its
 * ends then think of each other is our doing.
 */

import { SimEvent } from '../sim/events.ts';
import { CallEvent, Pipe, type Way } from '../sim/network/network.ts';
import type { Content } from './content.ts';
import type { World } from './world.ts';

/** Bytes of a content, of which one may be wrong. */
export type Payload = {
  readonly content: Content;
  readonly at: number;
  readonly length: number;
  /** Offset of the flipped byte within the payload, or -1. */
  readonly flip: number;
  /** Told once its last byte has arrived. */
  readonly delivered: (() => void) | undefined;
};
export type Item =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'payload'; readonly payload: Payload }
  | { readonly kind: 'end' };

export interface ConnSide {
  readonly host: number;
  /** Whether it plays by the rules. */
  readonly honest: boolean;
  received(item: Item): void;
  /** Told at most once, and never after the side itself has ended it. */
  ended(why: string): void;
}

class ItemEvent extends SimEvent {
  readonly conn: Conn;
  readonly to: number;
  readonly item: Item;
  constructor(conn: Conn, to: number, item: Item) {
    super();
    this.conn = conn;
    this.to = to;
    this.item = item;
  }
  run(): void {
    this.conn.arrived(this);
  }
}

/** Bytes of a payload from `from` on, at most `length`, into `into`. */
export function copyPayload(payload: Payload, from: number, into: Uint8Array): void {
  const at = payload.at + from;
  into.set(payload.content.bytes.subarray(at, at + into.length));
  const flip = payload.flip - from;
  if (payload.flip >= 0 && flip >= 0 && flip < into.length) into[flip] = (into[flip] as number) ^ 0x10;
}

export class Conn {
  readonly world: World;
  /** The dialler, then the acceptor, as soon as there is one. */
  readonly sides: [ConnSide, ConnSide];
  #tainted = false;
  /** Held back by a partition. */
  paused = false;
  readonly #pieces: Pipe;
  readonly #back: Way;
  /** Which side still takes part. */
  readonly #open: [boolean, boolean] = [true, true];
  readonly #held: ItemEvent[] = [];
  /** Nothing gets through any more; its ends hear of it in a moment. */
  #broken = false;

  constructor(world: World, dialler: ConnSide, acceptor: ConnSide) {
    this.world = world;
    this.sides = [dialler, acceptor];
    this.#pieces = new Pipe(acceptor.host, dialler.host);
    this.#back = { src: dialler.host, dst: acceptor.host, lastArrivalMs: 0 };
  }

  /** A flipped bit makes either host think ill of the other, on this connection and on the one that goes the other way. */
  get tainted(): boolean {
    return this.#tainted || this.world.tainted.has(this.#pair);
  }

  taint(): void {
    this.#tainted = true;
    this.world.tainted.add(this.#pair);
  }

  get #pair(): string {
    const [one, two] = this.sides;
    return `${Math.min(one.host, two.host)} ${Math.max(one.host, two.host)}`;
  }

  get dead(): boolean {
    return !this.#open[0] && !this.#open[1];
  }

  send(from: 0 | 1, item: Item): void {
    if (!this.#open[from]) return;
    const event = new ItemEvent(this, 1 - from, item);
    const { network } = this.world;
    if (from === 1) {
      if (item.kind === 'payload') network.sendPiece(this.#pieces, item.payload.length, event);
      else network.sendOn(this.#pieces, item.kind === 'bytes' ? item.bytes.length : 0, event);
      return;
    }
    const bytes = item.kind === 'bytes' ? item.bytes.length : item.kind === 'payload' ? item.payload.length : 0;
    network.sendInOrder(this.#back, bytes, event);
  }

  /** Takes back an item that has not begun to leave. */
  withdraw(item: Item): boolean {
    return this.#pieces.withdraw((event) => event instanceof ItemEvent && event.item === item);
  }

  arrived(event: ItemEvent): void {
    if (this.paused) {
      this.#held.push(event);
      return;
    }
    const side = this.sides[event.to] as ConnSide;
    if (this.#broken) return;
    if (event.item.kind === 'payload') event.item.payload.delivered?.();
    if (!this.#open[event.to]) return;
    if (event.item.kind === 'end') {
      this.#open[event.to] = false;
      return side.ended('closed by the peer');
    }
    side.received(event.item);
  }

  /** This side takes no further part; the other hears of it after what was sent. */
  finish(from: 0 | 1): void {
    this.send(from, { kind: 'end' });
    this.#open[from] = false;
  }

  /** Reset: what is under way is lost; the other side hears of it, unless nothing gets through. */
  reset(from: 0 | 1): void {
    if (!this.#open[from]) return;
    this.#open[from] = false;
    this.world.network.close(this.#pieces);
    const other = 1 - from;
    const ms = this.world.network.latencyMs(this.sides[from].host, (this.sides[other] as ConnSide).host);
    this.world.events.schedule(
      new CallEvent(() => {
        if (!this.paused) this.end(other, 'reset by the peer');
      }),
      this.world.nowMs + ms,
    );
  }

  /** The host behind `from` is without power: nobody is told; the other side notices in time. */
  vanish(from: 0 | 1): void {
    this.#open[from] = false;
    this.world.network.close(this.#pieces);
    this.world.after(this.world.between(5_000, 15_000), () => this.end(1 - from, 'timed out'));
  }

  pause(): void {
    this.paused = true;
  }

  /** The partition is over. */
  resume(lives: boolean): void {
    if (!this.paused) return;
    this.paused = false;
    const held = this.#held.splice(0);
    this.#broken = !lives;
    for (const side of [0, 1]) {
      if (!lives || !this.#open[1 - side])
        this.world.after(this.world.between(0, 50), () => this.end(side, 'reset by the peer'));
    }
    if (lives) for (const event of held) this.arrived(event);
  }

  /** A partition lasts: a side gives it up. */
  end(side: number, why: string): void {
    if (!this.#open[side]) return;
    this.#open[side] = false;
    this.world.network.close(this.#pieces);
    (this.sides[side] as ConnSide).ended(why);
  }
}
