/**
 * A pull that others are in no hurry for: its pieces are asked for one after the other, as fast as whoever began it allows.
 *
 * Rule 1: only what is in scope is fetched (core/swarm/pulling/scope.ts); a piece comes into it when its bytes are paid for.
 * Rule 2: no more than `aheadBytes` are on their way; two pieces always, so that the next one is asked for before the last is here.
 * Rule 3: as soon as somebody who was not told to take it slowly wants the blob, all of it is in scope.
 */

import { type Metainfo, pieceBytes } from '../../../core/piece.ts';
import type { Input } from '../../../core/swarm/types.ts';

const aheadBytes = 8 * 1024 * 1024;
const aheadPiecesMin = 2;

/** Which pieces of a pull are fetched when, where that is not all at once. */
export interface Scoping {
  readerAt(reader: number, range: { readonly at: number; readonly end: number }): void;
  readerGone(reader: number): void;
  held(piece: number): void;
  due(): void;
  /** Somebody wants it who has no reason to wait. */
  hurry(): void;
  close(): void;
}

/** Shared by all that take it slowly together. */
export interface PullPace {
  /** Calls `go` once `bytes` more may come, and never from within. Disposed of before, it is not called. */
  wait(bytes: number, go: () => void): Disposable;
}

type Paced = { readonly no: number | undefined };
type PacedEntry = { readonly meta: Metainfo; readonly pieces: number; has(piece: number): boolean };

/** `pace` undefined: nobody is slow any more. */
type PacingHost = { readonly pace: PullPace | undefined; readonly input: (input: Input) => void };

export class Pacing implements Scoping {
  readonly #part: Paced;
  readonly #entry: PacedEntry;
  readonly #pace: PullPace | undefined;
  readonly #input: (input: Input) => void;
  /** In scope and not here. */
  readonly #coming = new Set<number>();
  readonly #aheadMax: number;
  #next = 0;
  #waiting: Disposable | undefined;
  #closed = false;

  constructor(part: Paced, entry: PacedEntry, { pace, input }: PacingHost) {
    this.#part = part;
    this.#entry = entry;
    this.#pace = pace;
    this.#input = input;
    this.#aheadMax = Math.max(aheadPiecesMin, Math.floor(aheadBytes / entry.meta.pieceLength));
    // From here on nothing else is fetched.
    this.#scope([]);
    if (pace === undefined) this.hurry();
    else this.#go();
  }

  /** Somebody reads it, or waits for a piece. */
  readerAt(): void {
    this.hurry();
  }

  due(): void {
    this.hurry();
  }

  readerGone(): void {}

  held(piece: number): void {
    this.#coming.delete(piece);
    this.#go();
  }

  /** All that is lacking, at once. */
  hurry(): void {
    if (this.#closed) return;
    this.close();
    this.#scope([], true);
  }

  close(): void {
    this.#closed = true;
    this.#waiting?.[Symbol.dispose]();
    this.#waiting = undefined;
  }

  #go(): void {
    if (this.#closed || this.#waiting !== undefined || this.#coming.size >= this.#aheadMax) return;
    while (this.#next < this.#entry.pieces && this.#entry.has(this.#next)) this.#next++;
    if (this.#next >= this.#entry.pieces) return this.hurry();
    const piece = this.#next++;
    this.#waiting = this.#pace?.wait(pieceBytes(this.#entry.meta, piece), () => {
      this.#waiting = undefined;
      if (this.#closed) return;
      this.#coming.add(piece);
      this.#scope([piece]);
      this.#go();
    });
  }

  /** `ends`: and whatever else is lacking. */
  #scope(add: readonly number[], ends?: true): void {
    const { no } = this.#part;
    if (no !== undefined) this.#input({ kind: 'scope', blob: no, add, drop: [], ...(ends && { ends }) });
  }
}
