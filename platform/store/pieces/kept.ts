/**
 * Verified pieces of one blob that are still in memory: lent to readers and peers that want them now,
 * in place of a read from the disk and another hash.
 *
 * Rule: a kept slot nobody uses is the arena's to take; a piece that went is simply read from the disk.
 */

import type { Arena, Share, Slot } from '../../workers/arena.ts';

export class Kept {
  readonly #arena: Arena;
  readonly #slots = new Map<number, Slot>();

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** The slot is the arena's from now on. */
  keep(piece: number, slot: Slot): void {
    if (this.#slots.has(piece)) return slot.release();
    this.#slots.set(piece, slot);
    this.#arena.keep(slot, () => this.#slots.delete(piece));
  }

  lend(piece: number, share: Share): Slot | undefined {
    const slot = this.#slots.get(piece);
    return slot === undefined ? undefined : this.#arena.lend(slot, share);
  }

  /** The blob is gone: what is lent stays good until it is released. */
  forget(): void {
    for (const slot of [...this.#slots.values()]) this.#arena.forget(slot);
    this.#slots.clear();
  }
}
