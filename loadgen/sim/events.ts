/**
 * Virtual time: a queue of events, taken in order of time, then of scheduling.
 *
 * Rule 1: deterministic. Equal calls give an equal order; no wall clock.
 * Rule 2: about constant cost with hundreds of thousands of events pending: a wheel of short
 *         buckets, each sorted when its turn comes; what lies beyond the wheel waits in a heap.
 */

import { assert } from '../../core/assert.ts';

/** Subclassed by whoever schedules; `run` is called at `atMs`. `dead` events are passed over. */
export abstract class SimEvent {
  atMs = 0;
  order = 0;
  dead = false;
  next: SimEvent | undefined = undefined;
  /** On a pipe: of the piece that it stands for; 0: of a message, which takes none of its own. */
  bytes = 0;
  /** The host that it happens at; -1: none. */
  host = -1;
  abstract run(): void;
}

/** Virtual time, whichever way it is kept: to the event (EventQueue) or in rounds (rounds.ts). */
export type Events = {
  /** Virtual time, milliseconds. */
  readonly nowMs: number;
  /** Events run so far. */
  readonly count: number;
  /** Milliseconds between the times at which events run; 0: they run at their own. */
  readonly roundMs: number;
  /** Runs `event` at `atMs`, or now where that is past. */
  schedule(event: SimEvent, atMs: number): void;
  /** No event runs after the one that says this, or after its round. */
  halt(): void;
  /** Runs events until `untilMs`, until none is left, or until halted. True where it got to `untilMs`. */
  run(untilMs: number): boolean;
};

const bucketCount = 1 << 15;
const sortedByHand = 24;
const bucketMask = bucketCount - 1;

export class EventQueue implements Events {
  /** Virtual time, milliseconds. */
  nowMs = 0;
  /** Events run so far. */
  count = 0;
  readonly roundMs = 0;
  readonly #perMs: number;
  #order = 0;
  #halted = false;
  #bucket = 0;
  #pending = 0;
  readonly #wheel: (SimEvent | undefined)[] = new Array<SimEvent | undefined>(bucketCount).fill(undefined);
  readonly #far: SimEvent[] = [];
  #current: SimEvent[] = [];
  #position = 0;

  /** `bucketMs`: best where a bucket holds a handful of events. */
  constructor(bucketMs = 1 / 16) {
    this.#perMs = 1 / bucketMs;
  }

  /** Runs `event` at `atMs`, or now where that is past. */
  schedule(event: SimEvent, atMs: number): void {
    assert(!Number.isNaN(atMs), 'an event without a time');
    event.atMs = Math.max(atMs, this.nowMs);
    event.order = this.#order++;
    event.dead = false;
    this.#pending++;
    const bucket = Math.floor(event.atMs * this.#perMs);
    if (bucket <= this.#bucket) this.#insertCurrent(event);
    else if (bucket < this.#bucket + bucketCount) this.#link(event, bucket);
    else this.#pushFar(event);
  }

  /** No event runs after the one that says this. */
  halt(): void {
    this.#halted = true;
  }

  /** Runs events until `untilMs`, until none is left, or until halted or `stop` says so. True where it got to `untilMs`. */
  run(untilMs: number, stop?: () => boolean): boolean {
    this.#halted = false;
    while (this.#pending > 0) {
      if (this.#position >= this.#current.length && !this.#advance(untilMs)) return true;
      const event = this.#current[this.#position];
      if (event === undefined) continue;
      if (event.atMs > untilMs) return true;
      this.#position++;
      this.#pending--;
      if (event.dead) continue;
      this.nowMs = event.atMs;
      this.count++;
      event.run();
      if (this.#halted || stop?.() === true) return false;
    }
    return false;
  }

  #link(event: SimEvent, bucket: number): void {
    const at = bucket & bucketMask;
    event.next = this.#wheel[at];
    this.#wheel[at] = event;
  }

  /** Into the bucket that is being run: rare, and short. */
  #insertCurrent(event: SimEvent): void {
    let low = this.#position;
    let high = this.#current.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#current[middle] as SimEvent;
      if (before(event, other)) high = middle;
      else low = middle + 1;
    }
    if (low === this.#current.length) this.#current.push(event);
    else this.#current.splice(low, 0, event);
  }

  /** Moves to the next bucket that holds something; false where that lies beyond `untilMs`. */
  #advance(untilMs: number): boolean {
    const last = Math.floor(untilMs * this.#perMs);
    let seen = 0;
    for (;;) {
      if (this.#bucket >= last) return false;
      this.#bucket++;
      seen++;
      this.#nearFar();
      const head = this.#wheel[this.#bucket & bucketMask];
      if (head !== undefined) {
        this.#open(head);
        return true;
      }
      if (seen === bucketCount) {
        // A whole turn without an event: jump to the heap, unless its head came onto the wheel meanwhile.
        const far = this.#far[0];
        if (far !== undefined) this.#bucket = Math.max(this.#bucket, Math.floor(far.atMs * this.#perMs) - bucketCount);
        seen = 0;
      }
    }
  }

  #open(head: SimEvent): void {
    this.#wheel[this.#bucket & bucketMask] = undefined;
    this.#current.length = 0;
    this.#position = 0;
    for (let event: SimEvent | undefined = head; event !== undefined; ) {
      const next: SimEvent | undefined = event.next;
      event.next = undefined;
      this.#current.push(event);
      event = next;
    }
    if (this.#current.length > sortedByHand) this.#current.sort(compare);
    else this.#sort();
  }

  /** By insertion: a handful, which lie latest scheduled first. */
  #sort(): void {
    const events = this.#current;
    for (let i = 1; i < events.length; i++) {
      const event = events[i] as SimEvent;
      let at = i;
      while (at > 0 && before(event, events[at - 1] as SimEvent)) {
        events[at] = events[at - 1] as SimEvent;
        at--;
      }
      events[at] = event;
    }
  }

  #nearFar(): void {
    for (;;) {
      const first = this.#far[0];
      if (first === undefined) return;
      const bucket = Math.floor(first.atMs * this.#perMs);
      if (bucket >= this.#bucket + bucketCount) return;
      this.#popFar();
      this.#link(first, Math.max(bucket, this.#bucket));
    }
  }

  #pushFar(event: SimEvent): void {
    const heap = this.#far;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as SimEvent;
      if (!before(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #popFar(): void {
    const heap = this.#far;
    const moved = heap.pop();
    if (moved === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && before(right, heap[child] as SimEvent)) child++;
      const least = heap[child] as SimEvent;
      if (!before(least, moved)) break;
      heap[at] = least;
      at = child;
    }
    heap[at] = moved;
  }
}

function before(a: SimEvent, b: SimEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function compare(a: SimEvent, b: SimEvent): number {
  return a.atMs - b.atMs || a.order - b.order;
}
