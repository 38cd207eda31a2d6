/**
 * What arrives on a link that we dialled: frames into a small scratch buffer, payload straight into
 * slots. Knows no socket: `buffer()` says where the next bytes belong, `received` takes them.
 *
 *   frames --header of a piece--> filling --last byte--> frames
 *                    |  no slot free      ^
 *                    +--> waiting --------+ resume(slot)
 *                    +--> skipping ------------------> frames      (nobody wants it any more)
 *
 * Rule 1: payload that came with its header is copied, at most scratchBytes of a piece; the rest is
 *   not.
 * Rule 2: while waiting nothing may be read; `received` answers false, and `buffer()` gives the
 *   scratch, since Node asks for the next buffer before it pauses.
 * Rule 3: a slot is this file's from `acquire` or `resume` until `arrived` or `close`.
 */

import { PeerFault } from '../../../core/assert.ts';
import { Decoder } from '../../../core/wire/decode.ts';
import type { Message, Piece } from '../../../core/wire/messages.ts';
import type { Slot } from '../../workers/arena.ts';
import { scratchBytes, skippedBytesMax } from '../limits.ts';

export type InflowHost = {
  /** May close the inflow. */
  message(message: Exclude<Message, { kind: 'piece' }>): void;
  /** Whether a piece whose header came is wanted. Throws PeerFault where it never was. */
  wants(piece: Piece): 'take' | 'skip';
  /** A slot now, or undefined: the host gets one in time and calls `resume`. */
  acquire(bytes: number): Slot | undefined;
  /** So many bytes of a piece came. */
  progress(piece: Piece, bytes: number): void;
  /** The slot is the host's now. */
  arrived(piece: Piece, slot: Slot): void;
  skipped(bytes: number): void;
};

type State =
  | { readonly at: 'frames' }
  | { readonly at: 'waiting'; readonly piece: Piece }
  | { readonly at: 'filling'; readonly piece: Piece; readonly slot: Slot; filled: number }
  | { readonly at: 'skipping'; left: number }
  | { readonly at: 'closed' };

export class Inflow {
  readonly #host: InflowHost;
  readonly #decoder = new Decoder('feeder');
  readonly #scratch = new Uint8Array(scratchBytes);
  #state: State = { at: 'frames' };
  /** What of the scratch is not used up while waiting. */
  #restFrom = 0;
  #restTo = 0;
  #skipped = 0;

  constructor(host: InflowHost) {
    this.#host = host;
  }

  /** Whether a piece has begun and has not ended, and the peer is the one to move. */
  get midPiece(): boolean {
    return this.#state.at === 'filling' || this.#state.at === 'skipping';
  }

  /** Bytes of a frame that is not whole yet. */
  get partial(): number {
    return this.#decoder.partial;
  }

  /** Where the next bytes belong. */
  buffer(): Uint8Array {
    return this.#state.at === 'filling' ? this.#state.slot.window(this.#state.filled) : this.#scratch;
  }

  /** Takes `bytes` bytes that are in `buffer`. False: read no more until `resume`. Throws PeerFault. */
  received(bytes: number, buffer: Uint8Array): boolean {
    if (buffer === this.#scratch) return this.#consume(0, bytes);
    if (this.#state.at === 'filling') this.#filled(this.#state, bytes);
    return this.#state.at !== 'closed';
  }

  /** The slot that was waited for. Answers as `received` does. */
  resume(slot: Slot): boolean {
    if (this.#state.at !== 'waiting') {
      slot.release();
      return false;
    }
    this.#state = { at: 'filling', piece: this.#state.piece, slot, filled: 0 };
    return this.#consume(this.#restFrom, this.#restTo);
  }

  /** The link is gone: nothing writes to the slot any more. */
  close(): void {
    if (this.#state.at === 'filling') this.#state.slot.release();
    this.#state = { at: 'closed' };
  }

  #consume(from: number, to: number): boolean {
    let at = from;
    while (at < to) {
      const state = this.#state;
      switch (state.at) {
        case 'frames':
          at = this.#frame(at, to);
          break;
        case 'filling':
          at = this.#copy(state, at, to);
          break;
        case 'skipping':
          at = this.#skip(state, at, to);
          break;
        case 'waiting':
          this.#restFrom = at;
          this.#restTo = to;
          return false;
        case 'closed':
          return false;
      }
    }
    this.#restFrom = to;
    this.#restTo = to;
    return this.#state.at !== 'waiting' && this.#state.at !== 'closed';
  }

  #frame(from: number, to: number): number {
    const at = this.#decoder.push(this.#scratch, from, to);
    const message = this.#decoder.take();
    if (message === undefined) return at;
    if (message.kind === 'piece') this.#begin(message);
    else this.#host.message(message);
    return at;
  }

  #begin(piece: Piece): void {
    if (this.#host.wants(piece) === 'skip') {
      this.#skipped += piece.length;
      if (this.#skipped > skippedBytesMax) throw new PeerFault('piece: too many of closed swarms');
      this.#state = { at: 'skipping', left: piece.length };
      return;
    }
    // Set first: the host may have a slot by the time that `acquire` returns, but never before.
    this.#state = { at: 'waiting', piece };
    const slot = this.#host.acquire(piece.length);
    if (slot !== undefined) this.#state = { at: 'filling', piece, slot, filled: 0 };
  }

  #copy(state: State & { at: 'filling' }, from: number, to: number): number {
    const window = state.slot.window(state.filled);
    const bytes = Math.min(window.length, to - from);
    window.set(this.#scratch.subarray(from, from + bytes));
    this.#filled(state, bytes);
    return from + bytes;
  }

  #filled(state: State & { at: 'filling' }, bytes: number): void {
    state.filled += bytes;
    this.#host.progress(state.piece, bytes);
    if (state.filled < state.piece.length) return;
    this.#state = { at: 'frames' };
    this.#host.arrived(state.piece, state.slot);
  }

  #skip(state: State & { at: 'skipping' }, from: number, to: number): number {
    const bytes = Math.min(state.left, to - from);
    state.left -= bytes;
    this.#host.skipped(bytes);
    if (state.left === 0) this.#state = { at: 'frames' };
    return from + bytes;
  }
}
