/** How much came by repair, how fast lately, and how long the rest takes at that. */

import type { Time } from '../../platform/net/clock.ts';

/** The rate is that of the last so many seconds. */
const lately = 10;
const slotMs = 1_000;

export class RepairProgress {
  blobs = 0;
  bytes = 0;
  failed = 0;
  readonly #clock: Time;
  /** Bytes of each of the last seconds, by its number. */
  readonly #slots = new Map<number, number>();
  readonly #begunMs: number;

  constructor(clock: Time) {
    this.#clock = clock;
    this.#begunMs = clock.nowMs();
  }

  came(bytes: number): void {
    this.bytes += bytes;
    const slot = Math.floor(this.#clock.nowMs() / slotMs);
    this.#slots.set(slot, (this.#slots.get(slot) ?? 0) + bytes);
    for (const old of this.#slots.keys()) if (old < slot - lately) this.#slots.delete(old);
  }

  /** Bytes a second. */
  get rate(): number {
    const nowMs = this.#clock.nowMs();
    const now = Math.floor(nowMs / slotMs);
    let bytes = 0;
    let first = now;
    for (const [slot, came] of this.#slots) {
      if (slot < now - lately) continue;
      bytes += came;
      first = Math.min(first, slot);
    }
    const ms = Math.max(slotMs, nowMs - Math.max(first * slotMs, this.#begunMs));
    return Math.round((bytes * 1000) / ms);
  }

  /** Until `bytes` more have come; undefined: nothing comes. */
  leftMs(bytes: number): number | undefined {
    const { rate } = this;
    return bytes === 0 || rate === 0 ? undefined : Math.ceil((bytes * 1000) / rate);
  }
}
