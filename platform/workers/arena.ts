/**
 * The memory that pieces live in: one SharedArrayBuffer cut in units of 256 KiB.
 *
 * Rule 1: bounded by configuration, whatever the number of peers and readers. Each share (receiving,
 *   sending, readers) has a limit of its own, so that none can starve another.
 * Rule 2: any free unit serves any share: a slot's units need not be adjacent, so nothing fragments.
 * Rule 3: whoever acquires a slot releases it exactly once, and never while a worker has it; unless that job was
 *   abandoned, as its disk hangs: then the memory is free once the worker is done with it.
 * Rule 4: waiters of a share are served in order; no newcomer overtakes them.
 * Rule 5: a slot that its owner is done with may be kept: its bytes stay, to be lent for reading, until
 *   its share needs the room. While it is lent it counts on each borrower's share, and not on the one
 *   that it came from, so that a slow borrower holds up nobody but its like.
 */

import { assert, Bug } from '../../core/assert.ts';
import { ApiError } from '../../core/contracts/errors.ts';
import { unitBytes } from '../../core/piece.ts';
import { ArenaMemory, type SharedBytes } from './shared.ts';

export type { SharedBytes } from './shared.ts';

export type Share = 'receive' | 'send' | 'reader';
export const SHARES: readonly Share[] = ['receive', 'send', 'reader'];
/** What each share gets of the arena where the configuration does not say. */
export const defaultShares: Record<Share, number> = { receive: 0.5, send: 0.25, reader: 0.25 };
/** The most of a share that is kept: what readers and peers ask for soon. More would only be memory touched in vain. */
export const keptBytesMax = 16 * 1024 * 1024;
/** Waiters a share; more are refused, since each is a request that somebody waits for. */
export const waitersMax = 4096;

export interface Slot {
  readonly no: number;
  /** Bytes that were asked for. */
  readonly length: number;
  /** Views over the slot's bytes, in order, each at most one unit. */
  parts(): SharedBytes[];
  /** From `offset` to the end of its unit, or of the slot: where a socket may read into next. */
  window(offset: number): SharedBytes;
  /** Exactly once; a second release is a Bug. */
  release(): void;
}

/** What who only moves pieces needs of an arena. */
export type PieceMemory = Pick<Arena, 'tryAcquire' | 'acquire' | 'slot' | 'shareBytes'>;

type Waiter = { readonly bytes: number; readonly give: (slot: Slot) => void };
/** `kept`: slots that count as used, and that go when the room is needed, the first one first. */
type ShareState = {
  readonly limit: number;
  used: number;
  readonly waiters: Set<Waiter>;
  readonly kept: Set<ArenaSlot>;
  keptUnits: number;
};

export class Arena {
  readonly memory: ArenaMemory;
  /** Free units; the last is given first, since its memory is the likeliest to be in a cache. */
  readonly #free: Int32Array;
  #freeCount: number;
  readonly #slots: (ArenaSlot | undefined)[];
  readonly #shares: Record<Share, ShareState>;

  /**
   * `shares` are fractions of the arena, together at most 1. Each share has at least one unit.
   * `memory` of that size that nobody uses any more; a new one where there is none.
   */
  constructor(bytes: number, shares: Record<Share, number> = defaultShares, memory?: ArenaMemory) {
    const units = Math.floor(bytes / unitBytes);
    assert(
      units >= SHARES.length,
      `arena of ${bytes} bytes: at least ${SHARES.length} units of ${unitBytes} are needed`,
    );
    assert(memory === undefined || memory.units === units, 'arena: the memory is of another size');
    this.memory = memory ?? ArenaMemory.create(units);
    this.#free = Int32Array.from({ length: units }, (_, i) => units - 1 - i);
    this.#freeCount = units;
    this.#slots = new Array<ArenaSlot | undefined>(units).fill(undefined);
    const state = (share: Share): ShareState => ({
      limit: Math.max(1, Math.floor(units * shares[share])),
      used: 0,
      waiters: new Set(),
      kept: new Set(),
      keptUnits: 0,
    });
    this.#shares = { receive: state('receive'), send: state('send'), reader: state('reader') };
    const total = SHARES.reduce((sum, share) => sum + this.#shares[share].limit, 0);
    assert(total <= units, `arena: shares take ${total} of ${units} units`);
  }

  /** A slot now, or undefined: the share is full, or others wait for it. */
  tryAcquire(share: Share, bytes: number): Slot | undefined {
    const state = this.#shares[share];
    if (state.waiters.size > 0) return undefined;
    return this.#take(state, bytes);
  }

  /** A slot, in turn. Rejects with the signal's reason, or ApiError where it can never or not soon be had. */
  async acquire(share: Share, bytes: number, signal?: AbortSignal): Promise<Slot> {
    signal?.throwIfAborted();
    const state = this.#shares[share];
    if (unitsFor(bytes) > state.limit) {
      const room = state.limit * unitBytes;
      throw new ApiError(
        'UNAVAILABLE',
        `${bytes} bytes do not fit in the ${share} share of ${room} bytes: raise memory.arena`,
      );
    }
    const slot = this.tryAcquire(share, bytes);
    if (slot !== undefined) return slot;
    if (state.waiters.size >= waitersMax) {
      throw new ApiError(
        'TOOMANYREQUESTS',
        `${waitersMax} requests already wait for memory (${share}): try again later`,
      );
    }
    return await this.#wait(state, bytes, signal);
  }

  slot(no: number): Slot {
    const slot = this.#slots[no];
    if (slot === undefined) throw new Bug(`arena: no slot ${no} is in use`);
    return slot;
  }

  /** Bytes of the share that nobody uses now; what is kept counts as free. */
  freeBytes(share: Share): number {
    const state = this.#shares[share];
    return (state.limit - state.used + state.keptUnits) * unitBytes;
  }

  shareBytes(share: Share): number {
    return this.#shares[share].limit * unitBytes;
  }

  /** A worker begins to use the slot: it must not be released before `unhold`. */
  hold(slot: Slot): void {
    this.#live(slot).holds += 1;
  }

  unhold(slot: Slot): void {
    const live = this.#live(slot);
    live.holds -= 1;
    if (live.holds === 0 && live.released) this.#freeNow(live);
  }

  /** Nobody waits for the worker that has the slot now: it may be released before that is done. */
  abandon(slot: Slot): void {
    this.#live(slot).abandoned = true;
  }

  view(unit: number): SharedBytes {
    return this.memory.view(unit);
  }

  /** In place of `release`: the bytes stay as long as there is room. `dropped` is called once, when they are gone. */
  keep(slot: Slot, dropped: () => void): void {
    const kept = this.#live(slot);
    if (kept.holds > 0 || kept.dropped !== undefined) throw new Bug(`arena: slot ${slot.no} is kept while in use`);
    kept.dropped = dropped;
    this.#setAside(kept);
    // In a moment: whoever waits for these bytes comes before those who wait for room.
    if (kept.state.waiters.size > 0) setImmediate(() => this.#serve(kept.state));
  }

  /** A kept slot for reading, counted on `share` until it is released; undefined: there is no room for it. */
  lend(slot: Slot, share: Share): Slot | undefined {
    const kept = this.#live(slot);
    if (kept.dropped === undefined) throw new Bug(`arena: slot ${slot.no} is lent and was not kept`);
    const state = this.#shares[share];
    const units = unitsFor(slot.length);
    if (state.waiters.size > 0) return undefined;
    // First of all, so that it is not dropped to make room for itself.
    if (kept.loans === 0) this.#takeBack(kept);
    if (!this.#makeRoom(state, units)) {
      if (kept.loans === 0) this.#setAside(kept, 'counted anew');
      return undefined;
    }
    state.used += units;
    kept.loans += 1;
    if (kept.loans === 1 && kept.state !== state) this.#serve(kept.state);
    return new Loan(kept, () => this.#returned(kept, state));
  }

  /** Nobody wants the kept slot any more; one that is lent goes with its last borrower. */
  forget(slot: Slot): void {
    const kept = this.#live(slot);
    kept.forgotten = true;
    if (kept.loans > 0) return;
    this.#drop(kept);
    this.#serve(kept.state);
  }

  /** For ArenaSlot only. */
  giveBack(slot: ArenaSlot): void {
    if (this.#slots[slot.no] !== slot || slot.dropped !== undefined || slot.released)
      throw new Bug(`arena: slot ${slot.no} was released twice`);
    if (slot.holds > 0 && !slot.abandoned) throw new Bug(`arena: slot ${slot.no} was released while a worker has it`);
    slot.released = true;
    if (slot.holds === 0) this.#freeNow(slot);
  }

  #freeNow(slot: ArenaSlot): void {
    slot.state.used -= unitsFor(slot.length);
    this.#giveUnits(slot);
    this.#serve(slot.state);
  }

  #returned(kept: ArenaSlot, state: ShareState): void {
    const units = unitsFor(kept.length);
    const home = kept.state;
    state.used -= units;
    kept.loans -= 1;
    if (kept.loans === 0) {
      if (!kept.forgotten && home.waiters.size === 0 && home.used + units <= home.limit)
        this.#setAside(kept, 'counted anew');
      else this.#giveUnits(kept);
    }
    this.#serve(state);
  }

  /** Kept, unused: its memory may be taken from now on. */
  #setAside(kept: ArenaSlot, count?: 'counted anew'): void {
    const units = unitsFor(kept.length);
    const { state } = kept;
    if (count !== undefined) state.used += units;
    state.kept.add(kept);
    state.keptUnits += units;
    for (const oldest of state.kept) {
      if (state.keptUnits * unitBytes <= keptBytesMax) break;
      this.#drop(oldest);
    }
  }

  #takeBack(kept: ArenaSlot): void {
    const units = unitsFor(kept.length);
    kept.state.kept.delete(kept);
    kept.state.keptUnits -= units;
    kept.state.used -= units;
  }

  #drop(kept: ArenaSlot): void {
    this.#takeBack(kept);
    this.#giveUnits(kept);
  }

  /** Whether `units` more fit; what is kept goes where it must. */
  #makeRoom(state: ShareState, units: number): boolean {
    if (state.used - state.keptUnits + units > state.limit) return false;
    for (const kept of state.kept) {
      if (state.used + units <= state.limit) break;
      this.#drop(kept);
    }
    return true;
  }

  #giveUnits(slot: ArenaSlot): void {
    this.#slots[slot.no] = undefined;
    let unit = slot.no;
    for (let left = unitsFor(slot.length); left > 0; left -= 1) {
      const next = this.memory.next[unit] as number;
      this.#free[this.#freeCount++] = unit;
      unit = next;
    }
    slot.dropped?.();
  }

  #live(slot: Slot): ArenaSlot {
    const live = this.#slots[slot.no];
    if (live === undefined || live !== slot) throw new Bug(`arena: slot ${slot.no} is used after its release`);
    return live;
  }

  #take(state: ShareState, bytes: number): ArenaSlot | undefined {
    const units = unitsFor(bytes);
    if (!this.#makeRoom(state, units)) return undefined;
    state.used += units;
    assert(this.#freeCount >= units, 'arena: a share has room but no unit is free');
    let first = -1;
    for (let left = units; left > 0; left -= 1) {
      this.#freeCount -= 1;
      const unit = this.#free[this.#freeCount] as number;
      this.memory.next[unit] = first;
      first = unit;
    }
    const slot = new ArenaSlot({ arena: this, state, no: first, length: bytes });
    this.#slots[first] = slot;
    return slot;
  }

  #wait(state: ShareState, bytes: number, signal: AbortSignal | undefined): Promise<Slot> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        bytes,
        give: (slot) => {
          signal?.removeEventListener('abort', abort);
          resolve(slot);
        },
      };
      const abort = (): void => {
        state.waiters.delete(waiter);
        reject(signal?.reason);
        this.#serve(state);
      };
      signal?.addEventListener('abort', abort, { once: true });
      state.waiters.add(waiter);
    });
  }

  #serve(state: ShareState): void {
    for (const waiter of state.waiters) {
      const slot = this.#take(state, waiter.bytes);
      if (slot === undefined) return;
      state.waiters.delete(waiter);
      waiter.give(slot);
    }
  }
}

class ArenaSlot implements Slot {
  readonly no: number;
  readonly length: number;
  readonly state: ShareState;
  /** Jobs of workers that use it now. */
  holds = 0;
  /** Whether its owner does not wait for them, and whether it has let go of the slot meanwhile. */
  abandoned = false;
  released = false;
  /** Set once it is kept: told when its bytes are gone. */
  dropped: (() => void) | undefined;
  /** Borrowers, of a kept slot. */
  loans = 0;
  forgotten = false;
  readonly #arena: Arena;

  constructor(o: { arena: Arena; state: ShareState; no: number; length: number }) {
    this.#arena = o.arena;
    this.state = o.state;
    this.no = o.no;
    this.length = o.length;
  }

  parts(): SharedBytes[] {
    const parts: SharedBytes[] = [];
    let unit = this.no;
    for (let left = this.length; left > 0; left -= unitBytes) {
      parts.push(left >= unitBytes ? this.#arena.view(unit) : this.#arena.view(unit).subarray(0, left));
      unit = this.#arena.memory.next[unit] as number;
    }
    return parts;
  }

  window(offset: number): SharedBytes {
    assert(offset >= 0 && offset < this.length, `arena: offset ${offset} outside of a slot of ${this.length} bytes`);
    let unit = this.no;
    let start = offset;
    for (; start >= unitBytes; start -= unitBytes) unit = this.#arena.memory.next[unit] as number;
    return this.#arena.view(unit).subarray(start, Math.min(unitBytes, this.length - offset + start));
  }

  release(): void {
    this.#arena.giveBack(this);
  }
}

/** A kept slot as one borrower has it. */
class Loan implements Slot {
  readonly no: number;
  readonly length: number;
  readonly #slot: ArenaSlot;
  readonly #returned: () => void;
  #open = true;

  constructor(slot: ArenaSlot, returned: () => void) {
    this.no = slot.no;
    this.length = slot.length;
    this.#slot = slot;
    this.#returned = returned;
  }

  parts(): SharedBytes[] {
    return this.#slot.parts();
  }

  window(offset: number): SharedBytes {
    return this.#slot.window(offset);
  }

  release(): void {
    if (!this.#open) throw new Bug(`arena: a loan of slot ${this.no} was released twice`);
    this.#open = false;
    this.#returned();
  }
}

function unitsFor(bytes: number): number {
  assert(bytes > 0, `arena: a slot of ${bytes} bytes`);
  return Math.ceil(bytes / unitBytes);
}
