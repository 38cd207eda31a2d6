/**
 * Bytes that came in memory of ours, given to a reader: into its buffer, where it has one. What it does not take now
 * waits here.
 *
 * Rule 1: bytes are copied once, straight to where the reader says, and not at all for a reader without a buffer: to one
 *   that takes them as they come nothing is made for them either.
 * Rule 2: the reader is never called from within `resume`.
 */

import type { Ears } from './net.ts';

/** Bytes, and who is told when they are not needed any more. */
export type Parcel = { readonly bytes: Uint8Array; readonly used?: (() => void) | undefined };

export class Pour {
  readonly #ears: Ears;
  readonly #later: (call: () => void) => void;
  /** All have been taken, and it may go on. */
  readonly #empty: () => void;
  readonly #waiting: Parcel[] = [];
  /** Of the first one, what has been taken. */
  #from = 0;
  #state: 'flowing' | 'pouring' | 'paused' | 'closed' = 'flowing';

  constructor(ears: Ears, o: { later: (call: () => void) => void; empty: () => void }) {
    this.#ears = ears;
    this.#later = o.later;
    this.#empty = o.empty;
  }

  get paused(): boolean {
    return this.#state === 'paused';
  }

  /** What waits, in order; not what has been taken of the first one. */
  get waiting(): readonly Parcel[] {
    return this.#waiting;
  }

  /** More bytes. False: some wait, and no more is wanted for now. */
  push(bytes: Uint8Array, used?: () => void): boolean {
    if (this.#state === 'closed') return false;
    if (this.#state === 'flowing' && this.#waiting.length === 0 && this.#ears.buffer === undefined)
      this.#pass(bytes, used);
    else {
      this.#waiting.push({ bytes, used });
      if (this.#state === 'flowing') this.#pour();
    }
    return this.#state === 'flowing';
  }

  pause(): void {
    if (this.#state !== 'closed') this.#state = 'paused';
  }

  resume(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'flowing';
    this.#later(() => {
      if (this.#state !== 'flowing') return;
      this.#pour();
      if ((this.#state as string) === 'flowing') this.#empty();
    });
  }

  /** Nothing is given any more. */
  close(): void {
    this.#state = 'closed';
    this.#waiting.length = 0;
  }

  /** Puts other memory in place of what waits, byte for byte: whoever sent it wants its own back. */
  keep(at: number): void {
    const parcel = this.#waiting[at];
    if (parcel === undefined) return;
    this.#waiting[at] = { bytes: parcel.bytes.slice() };
    parcel.used?.();
  }

  /** Drops what waits from there on. */
  drop(at: number): void {
    this.#waiting.length = at;
    if (at === 0) this.#from = 0;
  }

  /** Nothing waits, and the reader has no buffer. */
  #pass(bytes: Uint8Array, used: (() => void) | undefined): void {
    this.#state = 'pouring';
    const goesOn = this.#ears.received(bytes.length, bytes);
    used?.();
    if (this.#state !== 'pouring') return;
    if (goesOn) this.#pour();
    else this.#state = 'paused';
  }

  #pour(): void {
    this.#state = 'pouring';
    while (this.#waiting.length > 0 && this.#state === 'pouring') {
      if (!this.#give() && this.#state === 'pouring') this.#state = 'paused';
    }
    if (this.#state === 'pouring') this.#state = 'flowing';
  }

  /** As much as goes in one call. */
  #give(): boolean {
    const into = this.#ears.buffer?.();
    if (into === undefined) {
      const { bytes, used } = this.#waiting.shift() as Parcel;
      const goesOn = this.#ears.received(bytes.length, bytes);
      used?.();
      return goesOn;
    }
    const given: Parcel[] = [];
    let filled = 0;
    while (filled < into.length && this.#waiting.length > 0) {
      const parcel = this.#waiting[0] as Parcel;
      const part = parcel.bytes.subarray(this.#from, this.#from + into.length - filled);
      into.set(part, filled);
      filled += part.length;
      this.#from += part.length;
      if (this.#from < parcel.bytes.length) break;
      this.#from = 0;
      this.#waiting.shift();
      given.push(parcel);
    }
    const goesOn = this.#ears.received(filled, into);
    for (const { used } of given) used?.();
    return goesOn;
  }
}
