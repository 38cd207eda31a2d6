/**
 * The one way out of a link: control frames, gathered per tick and written at once, and pieces, whose
 * header and slot go to the kernel without a copy.
 *
 * Rule 1: a piece's payload follows its header with nothing between; control frames go first
 *   otherwise.
 * Rule 2: a piece's slot is released once, when the kernel has its last byte or the link is gone.
 * Rule 3: the socket is given no more than `socketBytesMax` at a time, so that a callback every so
 *   many bytes tells whether the peer still reads.
 * Rule 4: pieces wait for their turn at the process's limit, where it has one; control frames never do.
 */

import { Encoder } from '../../../core/wire/encode.ts';
import type { Message, Piece } from '../../../core/wire/messages.ts';
import type { Clock } from '../../net/clock.ts';
import type { Connection } from '../../net/net.ts';
import type { SharedBytes, Slot } from '../../workers/arena.ts';
import { socketBytesMax } from '../limits.ts';
import type { Throttle } from './throttle.ts';

/** `sent`: the kernel has the last byte. `unfed`: the header never went out. `gone`: the link is. */
export type PieceEnd = 'sent' | 'unfed' | 'gone';
/** `done` is called once; from then on the slot is the caller's again. */
export type OutPiece = { readonly header: Piece; readonly slot: Slot; readonly done: (end: PieceEnd) => void };

/** The limit as it is now, if there is one. */
type UpLimits = { readonly up?: Throttle | undefined };

type Writing = { readonly piece: OutPiece; readonly parts: readonly SharedBytes[]; next: number };

export class Outbox {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #limits: UpLimits;
  readonly #turn = (): void => this.flush();
  readonly #encoder = new Encoder();
  readonly #waiting: OutPiece[] = [];
  /** Pieces whose last byte the kernel does not have yet, begun ones. */
  readonly #begun = new Set<OutPiece>();
  #writing: Writing | undefined;
  #given = 0;
  #progressMs: number;
  #state: 'open' | 'scheduled' | 'ending' | 'closed' = 'open';

  constructor(connection: Connection, clock: Clock, limits: UpLimits = {}) {
    this.#connection = connection;
    this.#clock = clock;
    this.#limits = limits;
    this.#progressMs = clock.nowMs();
  }

  /** Control bytes that wait; the caller ends a link whose peer lets them grow. */
  get controlBytes(): number {
    return this.#encoder.pending;
  }

  /** How long the peer has taken none of what it was given, in ms. */
  stalledMs(nowMs: number): number {
    return this.#given === 0 ? 0 : nowMs - this.#progressMs;
  }

  send(message: Message): void {
    if (this.#state === 'closed' || this.#state === 'ending') return;
    this.#encoder.push(message);
    this.#schedule();
  }

  feed(piece: OutPiece): void {
    if (this.#state === 'closed' || this.#state === 'ending') return piece.done('gone');
    this.#waiting.push(piece);
    this.#schedule();
  }

  /** Takes back a piece whose header is not out; its slot is the caller's again. */
  unfeed(grant: number): boolean {
    const at = this.#waiting.findIndex((w) => w.header.grant === grant);
    if (at < 0) return false;
    const [taken] = this.#waiting.splice(at, 1);
    taken?.done('unfed');
    return true;
  }

  /** Nothing more will be sent: pieces that have not begun are given up, the rest leaves, then the socket ends. */
  end(): void {
    if (this.#state === 'closed') return;
    this.#state = 'ending';
    this.#dropWaiting();
    this.flush();
  }

  /** The socket is destroyed: nothing reads the slots any more. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#limits.up?.leave(this.#turn);
    this.#dropWaiting();
    this.#writing = undefined;
    for (const piece of this.#begun) piece.done('gone');
    this.#begun.clear();
  }

  /** Writes what there is now, as far as the socket's bound allows. */
  flush(): void {
    if (this.#state === 'closed' || this.#connection.connecting) return;
    if (this.#state === 'scheduled') this.#state = 'open';
    this.#connection.cork();
    while (this.#given < socketBytesMax && this.#writeNext());
    this.#connection.uncork();
    const all = this.#writing === undefined && this.#encoder.pending === 0;
    if (all && this.#state === 'ending') this.#connection.end();
  }

  #dropWaiting(): void {
    for (const piece of this.#waiting.splice(0)) piece.done('gone');
  }

  #schedule(): void {
    if (this.#state !== 'open') return;
    this.#state = 'scheduled';
    this.#clock.soon(this.#turn);
  }

  /** One buffer more to the socket; false if there is none. */
  #writeNext(): boolean {
    if (this.#writing === undefined && this.#encoder.pending > 0) {
      this.#write(this.#encoder.take(), undefined);
      return true;
    }
    if (this.#writing === undefined && this.#waiting.length === 0) return false;
    const { up: limit } = this.#limits;
    const paid = limit?.enter(this.#turn);
    if (paid === 0) return false;
    const writing = this.#writing ?? this.#begin(this.#waiting.shift() as OutPiece);
    const bytes = this.#writePart(writing);
    if (paid !== undefined) limit?.pay(bytes - paid);
    return true;
  }

  #begin(piece: OutPiece): Writing {
    this.#encoder.push(piece.header);
    this.#write(this.#encoder.take(), undefined);
    this.#begun.add(piece);
    const { up: limit } = this.#limits;
    const parts = limit === undefined ? piece.slot.parts() : portions(piece.slot.parts(), limit.portion);
    this.#writing = { piece, parts, next: 0 };
    return this.#writing;
  }

  /** Bytes that went. */
  #writePart(writing: Writing): number {
    const part = writing.parts[writing.next++];
    const last = writing.next === writing.parts.length;
    if (last) this.#writing = undefined;
    if (part !== undefined) this.#write(part, last ? writing.piece : undefined);
    return part?.length ?? 0;
  }

  #write(bytes: Uint8Array, completes: OutPiece | undefined): void {
    if (this.#given === 0) this.#progressMs = this.#clock.nowMs();
    this.#given += bytes.length;
    this.#connection.write(bytes, () => {
      this.#given -= bytes.length;
      if (this.#state === 'closed') return;
      this.#progressMs = this.#clock.nowMs();
      if (completes !== undefined && this.#begun.delete(completes)) completes.done('sent');
      if (this.#state === 'ending') this.flush();
      else if (this.#hasMore()) this.#schedule();
    });
  }

  #hasMore(): boolean {
    return this.#writing !== undefined || this.#waiting.length > 0 || this.#encoder.pending > 0;
  }
}

/** What of it may be read into at once. */
export function portionOf(buffer: Uint8Array, limit: Throttle | undefined): Uint8Array {
  return limit === undefined || buffer.length <= limit.portion ? buffer : buffer.subarray(0, limit.portion);
}

/** The same bytes in views of at most `bytes`. */
function portions(parts: readonly SharedBytes[], bytes: number): SharedBytes[] {
  const views: SharedBytes[] = [];
  for (const part of parts) {
    for (let at = 0; at < part.length; at += bytes) views.push(part.subarray(at, at + bytes));
  }
  return views;
}
