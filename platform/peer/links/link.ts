/**
 * One connection. The side that dialled pulls: what it receives goes through an Inflow into slots.
 * The side that accepted feeds: what it receives is control frames, and small.
 *
 *   connecting --connect--> greeting --Hello--> active --close()--> ending --flushed--> gone
 *        any state --error, fault, destroy()--> gone
 *
 * Rule 1: one of `closed`, `slow` and `fault` is told exactly once, unless we closed it ourselves: then never.
 * Rule 2: after `close()` or `destroy()` nothing more is told of what the peer says.
 * Rule 3: PeerFault is caught here, and nothing else is.
 */

import { PeerFault } from '../../../core/assert.ts';
import { Decoder } from '../../../core/wire/decode.ts';
import type { Message, PeerAddress, Piece } from '../../../core/wire/messages.ts';
import type { Clock } from '../../net/clock.ts';
import type { Connection, Ears, Incoming, Net } from '../../net/net.ts';
import type { BlobEntry } from '../../store/pieces/entry.ts';
import type { Slot } from '../../workers/arena.ts';
import { closingMs, connectMs, controlBytesMax, holdMs } from '../limits.ts';
import type { ForeignPeer } from './foreign.ts';
import { Inflow } from './inflow.ts';
import { Outbox, type OutPiece, portionOf } from './outbox.ts';
import type { Rates } from './rates.ts';

export type Heard = Exclude<Message, { kind: 'piece' }>;

/** How long a link waits for its peer, ms. */
export type LinkPatience = {
  /** For its hello. */
  readonly greetingMs: number;
  /** For a byte more of a piece, for the rest of a frame, for it to take a byte of what we send. */
  readonly stalledMs: number;
};

export type LinkHost = {
  readonly net: Net;
  readonly clock: Clock;
  readonly patience: LinkPatience;
  /** What all links together may send of pieces, and read, where that is limited. */
  readonly limits?: Pick<Rates, 'up' | 'down'> | undefined;
  readonly foreign?: ForeignPeer | undefined;
  connected(link: PeerLink): void;
  closed(link: PeerLink, why: string): void;
  /** The peer did not move for too long: told in place of `closed`. */
  slow(link: PeerLink, why: string): void;
  fault(link: PeerLink, reason: string): void;
  /** Its connection is destroyed, whoever wanted it: told once, before `closed`, `slow` or `fault`. */
  gone(link: PeerLink): void;
  message(link: PeerLink, message: Heard): void;
  /** Throws PeerFault where the piece was never asked for. */
  wants(link: PeerLink, piece: Piece): 'take' | 'skip';
  tryAcquire(bytes: number): Slot | undefined;
  acquire(bytes: number, signal: AbortSignal): Promise<Slot>;
  progress(link: PeerLink, piece: Piece, bytes: number): void;
  arrived(link: PeerLink, piece: Piece, slot: Slot): void;
  skipped(bytes: number): void;
};

type LinkParts = {
  readonly no: number;
  readonly remote: string;
  readonly host: LinkHost;
  /** Makes the connection; nothing is told before that has returned. */
  readonly connect: (link: PeerLink) => Connection;
  readonly inflow: Inflow | undefined;
  /** Of a connection that was made to us. */
  readonly decoder?: Decoder;
  readonly partial: () => number;
};
const noBytes = new Uint8Array(0);
type LinkState = 'connecting' | 'greeting' | 'active' | 'ending' | 'gone';

export class PeerLink {
  readonly no: number;
  /** host:port of the other end, as dialled or as accepted. */
  readonly remote: string;
  /** Who the other end says it is, once it has greeted. */
  peer: PeerAddress | undefined;
  /** Blobs of which it was given pieces that we did not hash again. */
  readonly fedFrom = new Set<BlobEntry>();
  readonly #host: LinkHost;
  readonly #connection: Connection;
  readonly #outbox: Outbox;
  readonly #inflow: Inflow | undefined;
  readonly #gone = new AbortController();
  readonly #turn = (): void => this.#readOn();
  /** Bytes to read that the limit was paid for; 0: not read from until its turn, and the peer is not to blame. */
  #paid: number | undefined;
  #state: LinkState;
  /** Since when the state lasts. */
  #sinceMs: number;
  /** When the last byte of a piece came. */
  #payloadMs = 0;
  /** Bytes of a frame that is not whole yet. */
  readonly #partial: () => number;
  /** Frames that came; as of the sweep that first found the partial one that is being waited for, and when that was. */
  #frames = 0;
  #framesSwept = -1;
  /** What came and waits, as a frame before it does (`hold`). */
  #held: { rest: Uint8Array } | undefined;
  readonly #decoder: Decoder | undefined;
  #partialMs = 0;

  private constructor(o: LinkParts) {
    this.no = o.no;
    this.remote = o.remote;
    this.#host = o.host;
    this.#inflow = o.inflow;
    this.#partial = o.partial;
    this.#decoder = o.decoder;
    this.#state = o.inflow === undefined ? 'greeting' : 'connecting';
    this.#sinceMs = o.host.clock.nowMs();
    this.#connection = o.connect(this);
    this.#outbox = new Outbox(this.#connection, o.host.clock, o.host.limits);
  }

  /** A connection that is being made; `connected` or `closed` follows. */
  static dial(no: number, peer: PeerAddress, host: LinkHost): PeerLink {
    // The net may ask for its first buffer from within dial, before there is a link; no byte comes before it.
    const held: { link?: PeerLink } = {};
    const link = (): PeerLink => held.link as PeerLink;
    const inflow = new Inflow({
      message: (message) => link().#heard(message),
      wants: (piece) => host.wants(link(), piece),
      acquire: (bytes) => link().#acquire(bytes),
      progress: (piece, bytes) => link().#progress(piece, bytes),
      arrived: (piece, slot) => host.arrived(link(), piece, slot),
      skipped: (bytes) => link().#skipped(bytes),
    });
    const connect = (made: PeerLink): Connection =>
      host.net.dial(peer, {
        connected: () => made.#connected(),
        buffer: () => portionOf(inflow.buffer(), host.limits?.down),
        received: (bytes, buffer) => made.#received(bytes, () => inflow.received(bytes, buffer)),
        finished: () => made.#finished(),
        closed: (why) => made.#ended(why),
      });
    const remote = `${peer.host}:${peer.port}`;
    const made = new PeerLink({ no, remote, host, connect, inflow, partial: () => inflow.partial });
    held.link = made;
    return made;
  }

  /** A connection that was made to us; the caller tells the swarm. */
  static accept(no: number, incoming: Incoming, host: LinkHost): PeerLink {
    const decoder = new Decoder('puller');
    const ears = (made: PeerLink): Ears => ({
      received: (bytes, buffer) => {
        made.#guard(() => made.#decode(decoder, bytes === buffer.length ? buffer : buffer.subarray(0, bytes)));
        // What comes after a close is let go: the other side's end is heard behind it.
        return made.#held === undefined;
      },
      closed: (why) => made.#ended(why),
    });
    const connect = (made: PeerLink): Connection => incoming.take(ears(made));
    const remote = `${incoming.remote.host}:${incoming.remote.port}`;
    return new PeerLink({ no, remote, host, connect, inflow: undefined, decoder, partial: () => decoder.partial });
  }

  get dialled(): boolean {
    return this.#inflow !== undefined;
  }

  get whoIs(): Connection['whoIs'] {
    return this.#connection.whoIs;
  }

  get state(): LinkState {
    return this.#state;
  }

  /** The address that connected to us, or that we dialled, without its port. */
  get address(): string {
    return this.remote.slice(0, this.remote.lastIndexOf(':'));
  }

  send(message: Message): void {
    if (this.#state === 'gone' || this.#state === 'ending') return;
    this.#outbox.send(message);
    if (this.#outbox.controlBytes > controlBytesMax) this.#slow('does not read');
  }

  feed(piece: OutPiece): void {
    if (this.#state === 'gone' || this.#state === 'ending') return piece.done('gone');
    this.#outbox.feed(piece);
  }

  /** Takes back a piece whose header is not out. */
  unfeed(grant: number): boolean {
    return this.#outbox.unfeed(grant);
  }

  /**
   * Of a connection that was made to us: the frame that came just now is `taken` once `until` settles, `holdMs` at most, and
   * nothing more is heard of the peer before.
   */
  hold(until: Promise<void>, taken: () => void): void {
    const held = { rest: noBytes };
    this.#held = held;
    const go = (): void => {
      late[Symbol.dispose]();
      if (this.#held !== held) return;
      this.#held = undefined;
      const { rest } = held;
      const goOn = (): boolean => {
        taken();
        return this.#decoder === undefined || this.#decode(this.#decoder, rest);
      };
      if (this.#guard(goOn) && this.#held === undefined) this.#connection.resume();
    };
    const late = this.#host.clock.after(holdMs, go);
    until.then(go, go);
  }

  /** What was sent leaves first, but for pieces that have not begun, and within closingMs. */
  close(): void {
    if (this.#state === 'gone' || this.#state === 'ending') return;
    if (this.#state === 'connecting') return this.destroy();
    this.#become('ending');
    // Paused first: the kernel may have been pointed at the slot that the inflow releases.
    if (this.#inflow !== undefined) this.#connection.pause();
    this.#inflow?.close();
    this.#outbox.end();
  }

  /** At once, whatever is under way. */
  destroy(): void {
    if (this.#state === 'gone') return;
    this.#become('gone');
    this.#connection.destroy();
    this.#held = undefined;
    this.#host.limits?.down?.leave(this.#turn);
    this.#outbox.close();
    this.#inflow?.close();
    this.#gone.abort();
    this.#host.gone(this);
  }

  /** Ends what has stood still for too long. */
  sweep(nowMs: number): void {
    const ms = nowMs - this.#sinceMs;
    const { greetingMs, stalledMs } = this.#host.patience;
    switch (this.#state) {
      case 'connecting':
        if (ms > connectMs) this.#lost('no answer to connect');
        return;
      case 'greeting':
        if (ms > greetingMs) this.#slow('no hello');
        return;
      case 'active':
        if (this.#paid === 0) this.#payloadMs = nowMs;
        if (this.#inflow?.midPiece && nowMs - this.#payloadMs > stalledMs) this.#slow('piece stalled');
        else if (this.#outbox.stalledMs(nowMs) > stalledMs) this.#slow('does not read');
        else if (this.#framePartMs(nowMs) > stalledMs) this.#slow('frame stalled');
        return;
      case 'ending':
        if (ms > closingMs) this.destroy();
        return;
      case 'gone':
        return;
    }
  }

  /** How long the rest of a frame has been waited for, as far as sweeps have seen. */
  #framePartMs(nowMs: number): number {
    if (this.#partial() === 0 || this.#frames !== this.#framesSwept) {
      this.#framesSwept = this.#frames;
      this.#partialMs = nowMs;
    }
    return nowMs - this.#partialMs;
  }

  #become(state: LinkState): void {
    this.#state = state;
    this.#sinceMs = this.#host.clock.nowMs();
  }

  #connected(): void {
    if (this.#state !== 'connecting') return;
    this.#become('greeting');
    this.#host.connected(this);
    this.#outbox.flush();
  }

  #heard(message: Message): void {
    this.#frames++;
    if (message.kind === 'piece') throw new PeerFault('piece: from the side that pulls');
    if (this.#state === 'greeting') {
      if (message.kind === 'hello') {
        const foreign = this.#host.foreign?.(this.#connection.whoIs?.(), message.self);
        if (foreign !== undefined) throw new PeerFault(`hello: ${foreign}`);
        this.peer = message.self;
        this.#become('active');
      } else if (message.kind !== 'goodbye') throw new PeerFault('hello: something came before it');
    } else if (message.kind === 'hello') throw new PeerFault('hello: came twice');
    this.#host.message(this, message);
  }

  #decode(decoder: Decoder, chunk: Uint8Array): boolean {
    let at = 0;
    while (at < chunk.length && (this.#state === 'greeting' || this.#state === 'active')) {
      at = decoder.push(chunk, at);
      const message = decoder.take();
      if (message !== undefined) this.#heard(message);
      if (this.#held === undefined) continue;
      this.#held.rest = chunk.slice(at);
      return false;
    }
    return true;
  }

  /** Runs what reads the peer's bytes; a fault of the peer ends the link. */
  #guard(read: () => boolean): boolean {
    if (this.#state === 'gone') return false;
    if (this.#state === 'ending') return !this.dialled;
    try {
      return read();
    } catch (error) {
      if (!(error instanceof PeerFault)) throw error;
      this.destroy();
      this.#host.fault(this, error.message);
      return false;
    }
  }

  #acquire(bytes: number): Slot | undefined {
    this.#payloadMs = this.#host.clock.nowMs();
    const slot = this.#host.tryAcquire(bytes);
    if (slot === undefined) void this.#wait(bytes);
    return slot;
  }

  async #wait(bytes: number): Promise<void> {
    let slot: Slot;
    try {
      slot = await this.#host.acquire(bytes, this.#gone.signal);
    } catch (error) {
      if (!this.#gone.signal.aborted) this.#lost(`no memory for a piece: ${String(error)}`);
      return;
    }
    this.#payloadMs = this.#host.clock.nowMs();
    const inflow = this.#inflow;
    if (inflow === undefined || this.#state !== 'active') return slot.release();
    if (this.#guard(() => inflow.resume(slot))) this.#readOn();
  }

  /** As the reader of the connection answers: false, read no more for now. */
  #received(bytes: number, read: () => boolean): boolean {
    this.#host.limits?.down?.pay(bytes - (this.#paid ?? 0));
    this.#paid = undefined;
    return this.#guard(read) && this.#mayRead();
  }

  #mayRead(): boolean {
    this.#paid = this.#host.limits?.down?.enter(this.#turn);
    return this.#paid !== 0;
  }

  /** Never once it is closed: the kernel would write to memory that is not the link's any more. */
  #readOn(): void {
    if ((this.#state === 'active' || this.#state === 'greeting') && this.#mayRead()) this.#connection.resume();
  }

  #progress(piece: Piece, bytes: number): void {
    this.#payloadMs = this.#host.clock.nowMs();
    this.#host.progress(this, piece, bytes);
  }

  #skipped(bytes: number): void {
    this.#payloadMs = this.#host.clock.nowMs();
    this.#host.skipped(bytes);
  }

  /** The kernel has all that we sent. */
  #finished(): void {
    if (this.#state === 'ending') this.destroy();
  }

  /** We give it up. */
  #lost(why: string): void {
    if (this.#state === 'gone') return;
    this.destroy();
    this.#host.closed(this, why);
  }

  /** We give it up: the peer had its time. */
  #slow(why: string): void {
    if (this.#state === 'gone') return;
    this.destroy();
    this.#host.slow(this, why);
  }

  /** The connection says so. */
  #ended(why: string): void {
    if (this.#state === 'ending') return this.destroy();
    this.#lost(why);
  }
}
