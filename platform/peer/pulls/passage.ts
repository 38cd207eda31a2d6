/**
 * Which pieces are here, and when, of a blob that there is no room for as a whole: those that readers wait for, then some
 * ahead of each reader; what all have passed stays, for peers, until its place is wanted.
 *
 * Rule 1: readers go side by side: each has as many pieces ahead of it as any other, and two that are near each other
 *   share theirs. So one that pauses holds up nobody.
 * Rule 2: what is waited for comes before what may be read later. What came for somebody stays until it was taken, or
 *   for a moment.
 * Rule 3: only what has a place is in scope, and only what is in scope is fetched (core/swarm/pulling/scope.ts).
 */

import type { Input } from '../../../core/swarm/types.ts';
import type { BlobEntry } from '../../store/pieces/entry.ts';
import type { Window } from '../../store/room/window.ts';
import { Pacing, type PullPace, type Scoping } from './pacing.ts';

/** Of a window, the part that is not for what comes next: what readers have passed is given to peers from there. */
const passedShare = 4;
/** Whoever waited for a piece takes it at once, or waits for memory; then others are next. */
const takenMs = 1_000;

/** Whose it is: its number in the swarm, and the pieces that somebody waits for, in order. */
type Passing = { readonly no: number | undefined; waited(): Iterable<number> };
export type PassageHost = { nowMs(): number; input(input: Input): void };

type Reader = { readonly at: number; readonly end: number };

/** Undefined: all of it is fetched at once. */
export function scopingOf(
  part: Passing & { readonly paced: boolean; readonly pace: PullPace | undefined },
  entry: BlobEntry,
  host: PassageHost,
): Scoping | undefined {
  if (entry.window !== undefined) return new Passage(part, entry, host);
  if (!part.paced || entry.complete || entry.growth !== undefined) return undefined;
  return new Pacing(part, entry, { pace: part.pace, input: (input) => host.input(input) });
}

export class Passage implements Scoping {
  readonly #part: Passing;
  readonly #entry: BlobEntry;
  readonly #window: Window;
  readonly #host: PassageHost;
  readonly #readers = new Map<number, Reader>();
  /** Pieces that came for somebody who has not taken them yet, and when. */
  readonly #fresh = new Map<number, number>();
  #waited = new Set<number>();
  #due = false;
  #closed = false;

  constructor(part: Passing, entry: BlobEntry, host: PassageHost) {
    if (entry.window === undefined) throw new TypeError(`${entry.digest} has room for all of it`);
    this.#part = part;
    this.#entry = entry;
    this.#window = entry.window;
    this.#host = host;
    this.#window.onRoom = () => this.due();
    // From here on nothing else is fetched.
    this.#scope([], []);
  }

  readerAt(reader: number, range: Reader): void {
    const before = this.#readers.get(reader);
    if (before !== undefined && before.at !== range.at) this.#fresh.delete(before.at);
    this.#readers.set(reader, range);
    this.due();
  }

  readerGone(reader: number): void {
    this.#readers.delete(reader);
    this.due();
  }

  /** The piece came, and whoever waited for it has been told. */
  held(piece: number): void {
    if (this.#waited.has(piece)) this.#fresh.set(piece, this.#host.nowMs());
    this.due();
  }

  /** Something has changed: what should be here is decided soon, once for all that changes at the same time. */
  due(): void {
    if (this.#due) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      if (!this.#closed) this.#decide();
    });
  }

  /** Room is what is short here. */
  hurry(): void {}

  close(): void {
    this.#closed = true;
    this.#window.onRoom = undefined;
  }

  #decide(): void {
    const wanted = this.#wanted();
    const add: number[] = [];
    const drop: number[] = [];
    // What nobody is going to read is not fetched any more.
    for (const piece of this.#window.pieces()) {
      if (!wanted.has(piece) && !this.#entry.has(piece)) this.#giveUp(piece, drop);
    }
    const passed = this.#passed(wanted);
    for (const piece of wanted) {
      if (this.#window.has(piece)) continue;
      while (!this.#window.take(piece)) {
        const { value: oldest, done } = passed.next();
        // All others are being read: their places are free in a moment, and this is done again.
        if (done === true) return this.#rescope(add, drop);
        this.#giveUp(oldest, drop);
      }
      add.push(piece);
    }
    this.#rescope(add, drop);
  }

  /** Pieces that should be here, at most as many as there are places. */
  #wanted(): Set<number> {
    const { capacity } = this.#window;
    const wanted = new Set<number>();
    // Of one that grows, what is not known yet cannot come.
    const known = this.#entry.growth?.known ?? this.#entry.pieces;
    const oldMs = this.#host.nowMs() - takenMs;
    for (const [piece, sinceMs] of this.#fresh) {
      if (sinceMs < oldMs || !this.#entry.has(piece)) this.#fresh.delete(piece);
      else if (wanted.size < capacity) wanted.add(piece);
    }
    this.#waited = new Set(this.#part.waited());
    for (const piece of this.#waited) if (wanted.size < capacity && piece < known) wanted.add(piece);
    const ahead = capacity - Math.floor(capacity / passedShare);
    const readers = [...this.#readers.values()];
    for (let depth = 0; readers.length > 0 && wanted.size < ahead; depth += 1) {
      let within = false;
      for (const { at, end } of readers) {
        if (at + depth >= Math.min(end, known)) continue;
        within = true;
        if (wanted.size < ahead) wanted.add(at + depth);
      }
      if (!within) break;
    }
    return wanted;
  }

  /** What has been read, or was meant to be, and holds a place; the one that has been here longest first. */
  *#passed(wanted: ReadonlySet<number>): Generator<number, undefined> {
    for (const piece of this.#window.pieces()) if (!wanted.has(piece)) yield piece;
    return undefined;
  }

  #giveUp(piece: number, drop: number[]): void {
    this.#entry.giveUp(piece);
    drop.push(piece);
  }

  #rescope(add: readonly number[], drop: readonly number[]): void {
    if (add.length > 0 || drop.length > 0) this.#scope(add, drop);
  }

  #scope(add: readonly number[], drop: readonly number[]): void {
    const { no } = this.#part;
    if (no !== undefined) this.#host.input({ kind: 'scope', blob: no, add, drop });
  }
}
